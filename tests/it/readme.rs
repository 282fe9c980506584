//! The README's command table is what the program knows, not what somebody once wrote.

use std::collections::BTreeMap;
use std::fmt::Write;

use runnel::cmd::table;

const BEGIN: &str = "<!-- commands: made by tests/it/readme.rs; RUNNEL_REWRITE=1 cargo test rewrites it -->\n";
const END: &str = "<!-- end of commands -->\n";

fn commands() -> String {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in table::top() {
        let names = groups.entry(entry.command.group.name()).or_default();
        names.push(entry.command.name.to_owned());
    }
    let mut text = String::from("\n| group | commands |\n|---|---|\n");
    for (group, names) in &mut groups {
        names.sort();
        writeln!(text, "| {group} ({}) | {} |", names.len(), names.join(" ")).expect("a string takes all");
    }
    text.push('\n');
    text
}

#[test]
fn the_readme_lists_the_commands_there_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("the README is there");
    let (before, rest) = readme.split_once(BEGIN).expect("the table's beginning is marked");
    let (_, after) = rest.split_once(END).expect("the table's end is marked");
    let expected = format!("{before}{BEGIN}{}{END}{after}", commands());
    if readme != expected && std::env::var_os("RUNNEL_REWRITE").is_some() {
        std::fs::write(path, &expected).expect("the README can be written");
        return;
    }
    assert!(readme == expected, "the README's command table is out of date: RUNNEL_REWRITE=1 cargo test");
}
