//! The catalogue of messages, read from the text files of `src/language/pt_br/`.
//!
//! ```text
//! # A remark.
//! {} of {} rows have no value           an English template, as in the sources
//!     {0} de {1} linhas não têm valor   and under it, indented by four blanks, its translation
//! ```
//!
//! What the holes mean is told in [`super::template`].

use super::template::Template;
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

const INDENT: &str = "    ";

/// How often a message, or a part of it, is looked at, in bytes per byte and in all. Messages quote
/// what users sent: without a limit, a name made for it would keep the reading busy, or nest it too
/// deep.
const LOOKS: usize = 64;
const MAX_LOOKED_AT: usize = 256 << 10;

/// Name and text of every file, in the order of the README's map. Those of `libraries.txt` come
/// from other people's code.
pub const FILES: [(&str, &str); 8] = [
    ("reading.txt", include_str!("pt_br/reading.txt")),
    ("training.txt", include_str!("pt_br/training.txt")),
    ("predicting.txt", include_str!("pt_br/predicting.txt")),
    ("serving.txt", include_str!("pt_br/serving.txt")),
    ("protocols.txt", include_str!("pt_br/protocols.txt")),
    ("problems.txt", include_str!("pt_br/problems.txt")),
    ("command_line.txt", include_str!("pt_br/command_line.txt")),
    ("libraries.txt", include_str!("pt_br/libraries.txt")),
];

/// The catalogue of Brazilian Portuguese.
pub fn portuguese() -> &'static Catalogue {
    static PORTUGUESE: LazyLock<Catalogue> = LazyLock::new(|| {
        let texts = FILES.map(|(_, text)| text);
        Catalogue::read(&texts).expect("a test has read the same files")
    });
    &PORTUGUESE
}

/// Templates, so arranged that few have to be tried on a message.
#[derive(Debug)]
pub struct Catalogue {
    /// Those with the most text of their own first.
    templates: Vec<Template>,
    /// Those without holes, by their text.
    whole: HashMap<&'static str, usize>,
    /// Those that begin with a text, by its first character.
    by_first: HashMap<char, Vec<usize>>,
    /// Those that begin with a hole.
    open: Vec<usize>,
}

/// A translation.
struct Reading {
    text: String,
    /// Bytes of the message that templates know, without what stood in their holes.
    n_known: usize,
}

impl Catalogue {
    /// Reads the files.
    ///
    /// # Errors
    /// When a line has no partner, a text is there twice, or a pair does not fit together.
    pub fn read(texts: &[&'static str]) -> Result<Self, String> {
        let mut pairs = Vec::new();
        let mut seen = HashSet::new();
        for text in texts {
            for (english, translation) in pairs_of(text)? {
                if !seen.insert(english) {
                    return Err(format!("it is there twice: {english}"));
                }
                pairs.push((english, Template::new(english, translation)?));
            }
        }
        pairs.sort_by_key(|(_, template)| std::cmp::Reverse(template.n_fixed()));
        let mut catalogue = Self {
            templates: Vec::with_capacity(pairs.len()),
            whole: HashMap::new(),
            by_first: HashMap::new(),
            open: Vec::new(),
        };
        for (i, (english, template)) in pairs.into_iter().enumerate() {
            match template.first_char() {
                Some(_) if !english.contains(['{', '}', '…']) => {
                    catalogue.whole.insert(english, i);
                }
                Some(first) => catalogue.by_first.entry(first).or_default().push(i),
                None => catalogue.open.push(i),
            }
            catalogue.templates.push(template);
        }
        Ok(catalogue)
    }

    /// The translation of a message, or `None` where no template fits it.
    pub fn translate(&self, message: &str) -> Option<String> {
        let mut left = (LOOKS * message.len()).min(MAX_LOOKED_AT);
        self.understand(message, &mut left).map(|reading| reading.text)
    }

    /// The reading of a message of which the catalogue knows most: a message may hold another one,
    /// and one template may take for a name what another knows as the beginning of a message.
    /// `left` bytes may still be looked at; what is left over then stays as it is.
    fn understand(&self, message: &str, left: &mut usize) -> Option<Reading> {
        let first = message.chars().next()?;
        *left = left.checked_sub(message.len())?;
        if let Some(i) = self.whole.get(message) {
            let text = self.templates[*i].fill(&[], |_| None);
            return Some(Reading { text, n_known: message.len() });
        }
        let closed = self.by_first.get(&first).map_or(&[][..], Vec::as_slice);
        let mut best: Option<Reading> = None;
        for i in closed.iter().chain(&self.open) {
            let template = &self.templates[*i];
            let n_best = best.as_ref().map_or(0, |best| best.n_known);
            if !template.has_messages() && template.n_fixed() <= n_best {
                continue;
            }
            let Some(captures) = template.captures(message) else { continue };
            if template.most_known(&captures) <= n_best {
                continue;
            }
            let mut n_known = template.n_fixed();
            // A capture is shorter than the message, so this ends.
            let text = template.fill(&captures, |text| {
                let reading = self.understand(text, left)?;
                n_known += reading.n_known;
                Some(reading.text)
            });
            if n_known > n_best {
                best = Some(Reading { text, n_known });
            }
        }
        best
    }
}

/// The pairs of one file, in order.
///
/// # Errors
/// When a line has no partner.
pub fn pairs_of(text: &'static str) -> Result<Vec<(&'static str, &'static str)>, String> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut pairs = Vec::new();
    while let Some(english) = lines.next() {
        let translation = lines.next().and_then(|line| line.strip_prefix(INDENT));
        let Some(translation) = translation.filter(|_| !english.starts_with(INDENT)) else {
            return Err(format!("it has no translation under it: {english}"));
        };
        pairs.push((english, translation));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_can_be_read() {
        let texts = FILES.map(|(_, text)| text);
        let catalogue = Catalogue::read(&texts).unwrap();
        assert!(catalogue.templates.len() > 400, "{}", catalogue.templates.len());
    }

    #[test]
    fn a_line_without_a_partner_is_an_error() {
        for text in ["one\n", "one\ntwo\n", "    um\n", "one\n    um\none\n    um\n"] {
            assert!(Catalogue::read(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn messages_are_translated_with_what_the_user_wrote_as_it_is() {
        let check = |english: &str, expected: &str| {
            assert_eq!(portuguese().translate(english).as_deref(), Some(expected));
        };
        check("all 315 values are numbers", "todos os 315 valores são números");
        check(
            "it is the first row; the header is lines 6 to 7, whose names are joined where one would repeat; 4 line(s) \
             above it are titles or notes",
            "é a primeira linha; o cabeçalho ocupa as linhas 6 a 7, cujos nomes foram unidos onde um deles se \
             repetiria; 4 linhas acima são títulos ou observações",
        );
        check(
            "Ângulo = 40 ° is above 12 °, the largest value seen in training",
            "Ângulo = 40 ° está acima de 12 °, o maior valor visto no treinamento",
        );
        check(
            "\"all values are the same\" is not used: all 3 values are 7",
            "\"all values are the same\" não é usada: todos os 3 valores são 7",
        );
        check("3 of 5 networks done, epoch 9 of 256", "3 de 5 redes prontas, época 9 de 256");
        check(
            "it has the most filled cells, 120; 'Notas' has 5, 'x' has 3",
            "tem o maior número de células preenchidas, 120; 'Notas' tem 5, 'x' tem 3",
        );
        check(
            "`epochs`: invalid type: string \"many\", expected i64",
            "`epochs`: tipo inválido: texto \"many\", esperava-se um número inteiro",
        );
        check(
            "\"txt\" is not used: 240 different texts in 240 rows, 137 characters each on average",
            "\"txt\" não é usada: 240 textos diferentes em 240 linhas, com 137 caracteres cada um em média",
        );
        check("query: offset: -1 is below 0", "consulta: offset: -1 é menor que 0");
        check(
            "one cell of the request cannot be used: g = \"z\" was never seen in training; known are \"a\" and 2 more; or \
             let unknown_category be \"missing\" or \"nearest\"",
            "não é possível usar uma célula da requisição: g = \"z\" nunca apareceu no treinamento; as conhecidas são \
             \"a\" e mais 2; ou defina unknown_category como \"missing\" ou \"nearest\"",
        );
        assert_eq!(portuguese().translate("something nobody has written yet"), None);
        assert_eq!(portuguese().translate(""), None);
    }

    #[test]
    fn a_message_that_was_made_to_take_long_is_left_in_english() {
        let begin = std::time::Instant::now();
        for part in ["a: ", "a: b; ", "\"a\" is not used: ", "line 1, column 1: ", "the part `x` is "] {
            for n in [10, 1000, 100_000] {
                let message = format!("query: {}", part.repeat(n));
                let text = portuguese().translate(&message);
                assert_eq!(text.is_some(), message.len() <= MAX_LOOKED_AT, "{part} {n}");
            }
        }
        assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    }

    #[test]
    fn of_two_templates_that_fit_the_one_that_knows_more_wins() {
        let texts = ["a {}\n    x {0}\na {} b\n    y {0}\n{} of c b\n    z {0}\n"];
        let catalogue = Catalogue::read(&texts).unwrap();
        let check = |message: &str, expected: &str| {
            assert_eq!(catalogue.translate(message).as_deref(), Some(expected), "{message}");
        };
        check("a 1", "x 1");
        check("a 1 b", "y 1");
        check("a of c b", "z a");
    }
}
