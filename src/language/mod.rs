//! Messages in the language of whoever reads them: English or Brazilian Portuguese.
//!
//! A message is made, stored and logged in English, and translated when it is shown, because a
//! dataset or a training is described once and read by people of both languages. The translation
//! goes by the text itself: a catalogue pairs each English template of the sources with a
//! Portuguese one, and what matches no template stays English, so that no message is ever lost.
//!
//! To add a message: write it in English where it arises, then add its template to a file of
//! `src/language/pt_br/` (see [`catalogue`]). `tests/it/catalogue.rs` fails for one without the other.

pub mod catalogue;
pub mod template;

use std::borrow::Cow;

/// A language that messages come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// As the program makes them.
    #[default]
    English,
    /// As spoken in Brazil; readers who ask for the Portuguese of another country get it too.
    Portuguese,
}

impl Language {
    /// The tag of the language (BCP 47).
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Portuguese => "pt-BR",
        }
    }

    /// The language that the values of `Accept-Language` ask for (RFC 9110, 12.5.4). English where
    /// both are as welcome, or neither.
    pub fn accepted<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let ranges: Vec<Range> =
            values.into_iter().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
        let (english, portuguese) = (wish(&ranges, Self::English), wish(&ranges, Self::Portuguese));
        // Of two languages that are asked for alike, browsers name the dearer one first.
        let is_first = match (english.place, portuguese.place) {
            (Some(english), Some(portuguese)) => portuguese < english,
            (None, Some(_)) | (_, None) => false,
        };
        let is_dearer = portuguese.quality > english.quality;
        let is_equal = (portuguese.quality - english.quality).abs() < f32::EPSILON;
        if is_dearer || (is_equal && portuguese.quality > 0.0 && is_first) {
            Self::Portuguese
        } else {
            Self::English
        }
    }

    /// The language of a locale such as `pt_BR.UTF-8`.
    pub fn of_locale(locale: &str) -> Self {
        let primary = locale.split(['_', '-', '.', '@']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("pt") { Self::Portuguese } else { Self::English }
    }

    /// The message in this language; as it is where the catalogue does not know it.
    pub fn translate(self, message: &str) -> Cow<'_, str> {
        match self {
            Self::English => Cow::Borrowed(message),
            Self::Portuguese => {
                catalogue::portuguese().translate(message).map_or(Cow::Borrowed(message), Cow::Owned)
            }
        }
    }
}

/// One range of `Accept-Language`, such as `pt-BR;q=0.8`.
struct Range<'a> {
    name: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    /// `None` for what is no range, which is as good as not there.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let quality = match parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))) {
            Some(text) => text.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
            None => 1.0,
        };
        Some(Self { name, quality })
    }

    fn primary(&self) -> &'a str {
        self.name.split('-').next().unwrap_or_default()
    }
}

/// How much a language is asked for.
struct Wish {
    /// 0 where it is refused or not spoken of.
    quality: f32,
    /// Where in the list it is named first; `None` where only `*` allows it.
    place: Option<usize>,
}

fn wish(ranges: &[Range], language: Language) -> Wish {
    let tag = language.tag();
    let primary = tag.split('-').next().unwrap_or_default();
    let is_named = |range: &&Range| range.primary().eq_ignore_ascii_case(primary);
    let place = ranges.iter().position(|range| is_named(&range));
    let named = || ranges.iter().filter(is_named);
    if named().any(|range| range.name.eq_ignore_ascii_case(tag) && range.quality <= 0.0) {
        return Wish { quality: 0.0, place };
    }
    let any = ranges.iter().find(|range| range.name == "*").map_or(0.0, |range| range.quality);
    let quality = named().map(|range| range.quality).reduce(f32::max).unwrap_or(any);
    Wish { quality, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_is_dearest_to_the_reader_is_chosen() {
        let check = |header: &str, expected: Language| {
            assert_eq!(Language::accepted([header]), expected, "{header}");
        };
        for header in ["pt", "pt-BR", "pt-PT", "PT-br", "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "fr, pt;q=0.1"]
        {
            check(header, Language::Portuguese);
        }
        for header in ["", "*", "en", "fr", "en-US,en;q=0.9,pt-BR;q=0.8", "en-US,pt-BR;q=0.9,en;q=0.8"] {
            check(header, Language::English);
        }
        // Asked for alike: the first one; by `*` only: English.
        check("pt, en", Language::Portuguese);
        check("en, pt", Language::English);
        check("fr, *;q=0.5", Language::English);
        // `q=0` refuses.
        check("pt;q=0, *", Language::English);
        check("pt-BR;q=0, pt", Language::English);
        check("en;q=0, *", Language::Portuguese);
        check("en;q=0", Language::English);
        // What is no quality makes no range.
        check("pt;q=x", Language::English);
        check("pt;q=nan", Language::English);
        check("pt ; q=0.5 , en;q=0.4", Language::Portuguese);
        assert_eq!(Language::accepted(["en;q=0.5", "pt"]), Language::Portuguese, "the header may come twice");
        assert_eq!(Language::accepted([]), Language::English);
    }

    #[test]
    fn a_locale_names_a_language() {
        for (locale, expected) in [
            ("pt_BR.UTF-8", Language::Portuguese),
            ("pt", Language::Portuguese),
            ("pt_PT@euro", Language::Portuguese),
            ("C.UTF-8", Language::English),
            ("en_US.UTF-8", Language::English),
            ("ptx", Language::English),
        ] {
            assert_eq!(Language::of_locale(locale), expected, "{locale}");
        }
    }
}
