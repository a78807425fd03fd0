//! The examples of the page on history, run as they stand.

use crate::commands::midsession;

/// Files of the page (```` ```json shop.jsonl ````) and its commands with what they print (```` ```console ````).
#[test]
fn the_examples_hold() {
    let page = include_str!("../../../../docs/history.md");
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut commands) = (0, 0);
    for block in page.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        match kind.split_once(' ') {
            Some((_, name)) => {
                std::fs::write(folder.path().join(name), text).unwrap();
                files += 1;
            }
            None if kind == "console" => {
                for command in text.split("$ midsession ").skip(1) {
                    let (line, expected) = command.split_once('\n').unwrap();
                    let arguments: Vec<&str> = line.split_whitespace().collect();
                    let output = midsession(&arguments, folder.path());
                    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
                    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{line}");
                    commands += 1;
                }
            }
            None => {}
        }
    }
    assert!(files >= 2 && commands >= 3, "{files} files, {commands} commands");
}
