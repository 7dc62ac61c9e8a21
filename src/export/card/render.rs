//! Blocks as Markdown or HTML.

use super::{Block, plot};

const STYLE: &str = "body{font:11pt/1.45 Georgia,serif;max-width:48em;margin:2em auto;padding:0 1em;color:#111}\
    h1,h2{font-family:Helvetica,Arial,sans-serif;line-height:1.2}h2{margin-top:1.6em;border-bottom:1px solid #bbb}\
    table{border-collapse:collapse;margin:1em 0;font-size:10pt}th,td{padding:.25em .7em;border-bottom:1px solid #ddd;\
    text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}\
    pre{background:#f4f4f4;padding:.7em;white-space:pre-wrap;overflow-wrap:anywhere;font-size:9pt}\
    @media print{body{margin:0;max-width:none}table,pre{break-inside:avoid}}";

/// `CommonMark`, with the tables of GitHub.
pub(super) fn markdown(blocks: &[Block]) -> String {
    let parts: Vec<String> = blocks
        .iter()
        .filter(|block| !matches!(block, Block::Scatter { .. }))
        .map(|block| match block {
            Block::Title(text) => format!("# {}\n", escaped(text)),
            Block::Heading(text) => format!("## {}\n", escaped(text)),
            Block::Text(text) => format!("{}\n", escaped(text)),
            Block::Items(items) => items.iter().map(|item| format!("- {}\n", escaped(item))).collect(),
            Block::Code(text) => format!("```json\n{text}\n```\n"),
            Block::Scatter { .. } => String::new(),
            Block::Table { header, rows } => {
                let line = |cells: &[String]| {
                    let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
                    format!("| {} |\n", cells.join(" | "))
                };
                let rule: Vec<&str> = (0..header.len())
                    .map(|column| if is_numeric(rows, column) { "---:" } else { "---" })
                    .collect();
                let rows: String = rows.iter().map(|row| line(row)).collect();
                format!("{}| {} |\n{rows}", line(header), rule.join(" | "))
            }
        })
        .collect();
    parts.join("\n")
}

/// A whole page.
pub(super) fn html(blocks: &[Block]) -> String {
    let title = blocks.iter().find_map(|block| match block {
        Block::Title(text) => Some(as_html(text)),
        _ => None,
    });
    let body: String = blocks.iter().map(html_block).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n{body}</body>\n</html>\n",
        title.unwrap_or_default()
    )
}

fn html_block(block: &Block) -> String {
    match block {
        Block::Title(text) => format!("<h1>{}</h1>\n", as_html(text)),
        Block::Heading(text) => format!("<h2>{}</h2>\n", as_html(text)),
        Block::Text(text) => format!("<p>{}</p>\n", as_html(text)),
        Block::Items(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", as_html(item))).collect();
            format!("<ul>\n{items}</ul>\n")
        }
        Block::Code(text) => format!("<pre>{}</pre>\n", as_html(text)),
        Block::Scatter { label, points } => format!("<p>{}</p>\n", plot::scatter(points, &as_html(label))),
        Block::Table { header, rows } => {
            let head: String = header.iter().map(|cell| format!("<th>{}</th>", as_html(cell))).collect();
            let cell = |(column, cell): (usize, &String)| {
                let class = if is_numeric(rows, column) { " class=\"n\"" } else { "" };
                format!("<td{class}>{}</td>", as_html(cell))
            };
            let body: String = rows
                .iter()
                .map(|row| format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>()))
                .collect();
            format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n")
        }
    }
}

/// Whether a column holds numbers, or dashes where there is none.
fn is_numeric(rows: &[Vec<String>], column: usize) -> bool {
    let cells = || rows.iter().filter_map(|row| row.get(column));
    let is_number = |cell: &String| {
        let cell = cell.trim_end_matches([' ', '%']);
        cell == "–" || cell.parse::<f64>().is_ok()
    };
    cells().all(is_number) && cells().any(|cell| cell != "–")
}

/// A text in which Markdown finds no marks, on one line.
fn escaped(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_word = |index: Option<usize>| {
        index.and_then(|index| characters.get(index)).is_some_and(|c| c.is_alphanumeric())
    };
    let mut out = String::with_capacity(text.len());
    for (index, character) in characters.iter().enumerate() {
        let is_mark = match character {
            '\\' | '`' | '*' | '<' | '[' | ']' | '|' | '&' | '~' => true,
            // Within a word it marks nothing, and names are full of them.
            '_' => !(is_word(index.checked_sub(1)) && is_word(Some(index + 1))),
            _ => false,
        };
        if is_mark {
            out.push('\\');
        }
        out.push(if character.is_control() { ' ' } else { *character });
    }
    out
}

fn as_html(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(character),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_marks_nothing() {
        assert_eq!(escaped("bill_length_mm"), "bill_length_mm");
        assert_eq!(escaped("_x_ a|b *c* <b>"), "\\_x\\_ a\\|b \\*c\\* \\<b>");
        assert_eq!(escaped("two\nlines"), "two lines");
        assert_eq!(as_html("<script>\"a\" & b"), "&lt;script&gt;&quot;a&quot; &amp; b");
    }

    #[test]
    fn a_table_has_its_numbers_on_the_right() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let table =
            Block::Table { header: row("name", "rmse"), rows: vec![row("a|b", "0.5"), row("c", "–")] };
        assert_eq!(
            markdown(&[table.clone()]),
            "| name | rmse |\n| --- | ---: |\n| a\\|b | 0.5 |\n| c | – |\n"
        );
        let page = html(&[table]);
        assert!(page.contains("<td>a|b</td><td class=\"n\">0.5</td>"), "{page}");
    }
}
