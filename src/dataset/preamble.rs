//! The settings of an instrument above its table, where a line says that they end.

use std::borrow::Cow;

/// The line that says where the settings above the table end, as `***End_of_Header***` and `[Data]`
/// do; 0 where none does. Of several it is the one with most lines of numbers below it.
pub(super) fn end(text: &str) -> u64 {
    let lines: Vec<&str> = text.lines().collect();
    let marks: Vec<usize> = (0..lines.len()).filter(|i| ends_header(lines[*i])).collect();
    let ends = marks.iter().skip(1).copied().chain([lines.len()]);
    let n_below = |mark: usize, end: usize| {
        let is_row = |line: &&&str| {
            let first = line.trim_start().bytes().next();
            first.is_some_and(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte))
        };
        lines[mark + 1..end].iter().filter(is_row).count()
    };
    let longest = marks.iter().zip(ends).max_by_key(|(mark, end)| n_below(**mark, *end));
    longest.filter(|(mark, end)| n_below(**mark, *end) >= 2).map_or(0, |(mark, _)| *mark as u64 + 1)
}

fn ends_header(line: &str) -> bool {
    let line = line.trim();
    let bare = line.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.len() < 4 || bare.len() > 16 {
        return false;
    }
    let is_marked = line.starts_with(|c: char| !c.is_alphanumeric() && c != '"')
        && line.ends_with(|c: char| !c.is_alphanumeric() && c != '"');
    let words: Vec<String> =
        bare.split(['_', ' ', '-']).map(str::to_lowercase).filter(|word| word != "of").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["end", "header"] | ["header", "end"] | ["endheader"] | ["begin" | "start", "data"] => true,
        // `Data` alone names a column of days.
        ["data"] => is_marked,
        _ => false,
    }
}

/// The text with its first lines empty.
pub(super) fn blanked(text: &str, n_lines: u64) -> Cow<'_, str> {
    if n_lines == 0 {
        return Cow::Borrowed(text);
    }
    let at = text.match_indices('\n').nth(n_lines as usize - 1).map_or(text.len(), |(at, _)| at + 1);
    Cow::Owned("\n".repeat(n_lines as usize) + &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_settings_end() {
        let lvm =
            "Separator\tTab\n***End_of_Header***\t\nSamples\t1\n***End_of_Header***\t\nX\tV\n0\t1\n1\t2\n";
        assert_eq!(end(lvm), 4, "the one over the rows");
        assert_eq!(end("range,5\n[Data]\nt,y\n1,2\n3,4\n"), 2);
        assert_eq!(end("Data\n01/02/2024\n02/02/2024\n"), 0, "a column of days");
        assert_eq!(end("t,y\n1,2\n3,4\nEnd of header\n"), 0, "nothing follows");
        assert_eq!(blanked("a\nb\nc\n", 2), "\n\nc\n");
    }
}
