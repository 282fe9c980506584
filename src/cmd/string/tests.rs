use crate::testing::check;
