//! The forms that a model can be given in.

/// A form of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The model file itself.
    Native,
    /// One ONNX file that reads the user's columns and gives everything a prediction has.
    Onnx,
    /// What `torch.save` writes: a dictionary of tensors, and the manifest as a text.
    Torch,
    /// The Python module that answers from [`Form::Torch`]; the same for every model.
    Python,
    /// The model card as JSON.
    Card,
    /// The model card as Markdown.
    CardMarkdown,
    /// The model card as an HTML page.
    CardHtml,
}

impl Form {
    /// Every form, the default first.
    pub const ALL: [Self; 7] =
        [Self::Native, Self::Onnx, Self::Torch, Self::Python, Self::Card, Self::CardMarkdown, Self::CardHtml];

    /// The name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Onnx => "onnx",
            Self::Torch => "pt",
            Self::Python => "py",
            Self::Card => "card",
            Self::CardMarkdown => "card.md",
            Self::CardHtml => "card.html",
        }
    }

    /// The form called `name`.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The name of a file of this form for the model called `model`.
    pub fn filename(self, model: &str) -> String {
        match self {
            // A name that Python can import.
            Self::Python => "taqicfd_model.py".to_owned(),
            _ => format!("{}.{}", model.replace(['/', '\\'], "_"), self.ending()),
        }
    }

    /// How the names of its files end.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Native => "taqicfd.safetensors",
            Self::Onnx => "onnx",
            Self::Torch => "pt",
            Self::Python => "py",
            Self::Card => "card.json",
            Self::CardMarkdown => "card.md",
            Self::CardHtml => "card.html",
        }
    }

    /// Its media type. ONNX and safetensors have none that is registered.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Native | Self::Onnx | Self::Torch => "application/octet-stream",
            Self::Python => "text/x-python; charset=utf-8",
            Self::Card => "application/json",
            Self::CardMarkdown => "text/markdown; charset=utf-8",
            Self::CardHtml => "text/html; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_form() {
        for form in Form::ALL {
            assert_eq!(Form::find(form.name()), Some(form));
        }
        assert_eq!(Form::find("ONNX "), None);
    }
}
