//! Lines that fit on a terminal.

/// How many columns of a terminal are used: one less than the narrowest that is in use.
pub(crate) const COLUMNS: usize = 79;

/// The text with its long lines broken, between words where there are any. What is broken off goes on after so many columns, which
/// are those of what begins the line: a label, or a time.
pub(super) fn fitted(text: &str, indent: usize) -> String {
    text.lines().map(|line| broken(line, indent)).collect::<Vec<_>>().join("\n")
}

fn broken(line: &str, indent: usize) -> String {
    let (mut lines, mut rest) = (Vec::new(), line.to_owned());
    while let Some((edge, c)) = rest.char_indices().nth(COLUMNS) {
        let space = rest[..edge + c.len_utf8()].rfind(' ').filter(|space| *space > indent);
        let end = space.unwrap_or(edge);
        lines.push(rest[..end].trim_end().to_owned());
        rest = format!("{:indent$}{}", "", rest[end..].trim_start());
    }
    lines.push(rest);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_go_on_under_their_first_word() {
        let text = format!("verdict   PASS: {}\nrepeat    it", "word ".repeat(20).trim_end());
        let expected = format!(
            "verdict   PASS: {}\n          {}\nrepeat    it",
            "word ".repeat(12).trim_end(),
            "word ".repeat(8).trim_end()
        );
        assert_eq!(fitted(&text, 10), expected);
    }

    /// Each row: what stands after a label, and the lines that it takes without their indent.
    #[test]
    fn a_line_that_fits_is_not_broken_and_a_word_is_only_if_it_must_be() {
        let word = |length| "é".repeat(length);
        for (text, lines) in [
            (word(69), vec![word(69)]),
            (word(70), vec![word(69), word(1)]),
            (format!("x {}", word(70)), vec!["x".to_owned(), word(69), word(1)]),
            (format!("{} z", word(68)), vec![word(68), "z".to_owned()]),
        ] {
            let fitted = fitted(&format!("{:<10}{text}", "label"), 10);
            let told: Vec<_> = fitted.lines().map(|line| line.chars().skip(10).collect::<String>()).collect();
            assert_eq!(told, lines, "{fitted}");
        }
    }
}
