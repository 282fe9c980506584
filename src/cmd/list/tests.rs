use crate::testing::{check, check_configured, replay};

#[test]
fn scratch() {
    let text = std::fs::read_to_string("/tmp/cl/dialogue").unwrap();
    println!("{}", replay(crate::config::Config::default(), &text));
}
