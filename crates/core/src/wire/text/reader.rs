//! Finds the fields in the text of a structure. It does not allocate or recurse.

use super::{MAX_TEXT, TextError, is_bare, is_name};

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// The text before the first field.
pub(crate) struct Head<'a> {
    pub name: &'a str,
    /// The text in parentheses after the name, and the position of this text.
    pub features: Option<(&'a str, usize)>,
}

/// One field of the text.
pub(crate) struct Field<'a> {
    pub name: &'a str,
    /// The type in parentheses before the value.
    pub type_name: Option<&'a str>,
    /// The value without its type.
    pub value: &'a str,
    /// The value with its type.
    pub raw: &'a str,
}

/// Reads the name, and returns an iterator over the fields. Does not allocate.
pub(crate) fn open(text: &str) -> Result<(Head<'_>, Fields<'_>), TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError::TooLong { len: text.len() });
    }
    let mut fields = Fields { text, at: 0, failed: false };
    fields.skip_space();
    let start = fields.at;
    let name = fields.take_bare();
    if !is_name(name) {
        return Err(TextError::Unexpected { at: start, expected: "a name that starts with a letter" });
    }
    let features_at = fields.at;
    let features = if fields.peek() == Some(b'(') { Some((fields.take_features()?, features_at)) } else { None };
    Ok((Head { name, features }, fields))
}

/// Checks that a text is a structure, and returns its name. Does not allocate.
pub(crate) fn check(text: &str) -> Result<&str, TextError> {
    let (head, mut fields) = open(text)?;
    if let Some((_, at)) = head.features {
        return Err(TextError::Unexpected { at, expected: "a comma or the end" });
    }
    fields.try_for_each(|field| field.map(drop))?;
    Ok(head.name)
}

/// Iterator over the fields in a text. It ends after the first error.
pub(crate) struct Fields<'a> {
    text: &'a str,
    at: usize,
    failed: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let field = self.read_next().transpose();
        self.failed = !matches!(field, Some(Ok(_)));
        field
    }
}

impl<'a> Fields<'a> {
    fn read_next(&mut self) -> Result<Option<Field<'a>>, TextError> {
        self.skip_space();
        let comma = self.skip(b',');
        self.skip_space();
        if self.at_end()? {
            return Ok(None);
        }
        if !comma {
            return Err(self.expected("a comma or the end"));
        }
        let name = self.take_bare();
        if name.is_empty() {
            return Err(self.expected("a field's name"));
        }
        self.skip_space();
        if !self.skip(b'=') {
            return Err(self.expected("an equals sign"));
        }
        self.skip_space();
        let start = self.at;
        let (type_name, value) = self.take_typed()?;
        Ok(Some(Field { name, type_name, value, raw: &self.text[start..self.at] }))
    }

    /// Takes a value, and the type in parentheses before it if there is one.
    fn take_typed(&mut self) -> Result<(Option<&'a str>, &'a str), TextError> {
        let type_name = self.take_type()?;
        let value = match self.peek() {
            Some(b'{') => self.take_items(b'}')?,
            Some(b'<') => self.take_items(b'>')?,
            _ => self.take_scalar()?,
        };
        Ok((type_name, value))
    }

    /// Takes a list or an array of words and strings, with or without types. The result includes the brackets.
    fn take_items(&mut self, close: u8) -> Result<&'a str, TextError> {
        let start = self.at;
        self.at += 1;
        self.skip_space();
        if !self.skip(close) {
            loop {
                self.take_type()?;
                self.take_scalar()?;
                self.skip_space();
                if self.skip(close) {
                    break;
                }
                if !self.skip(b',') {
                    return Err(self.expected("a comma or the closing bracket"));
                }
                self.skip_space();
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Whether the rest of the text is only white space and at most one semicolon.
    fn at_end(&mut self) -> Result<bool, TextError> {
        if self.skip(b';') {
            self.skip_space();
            return if self.peek().is_none() { Ok(true) } else { Err(self.expected("nothing after the semicolon")) };
        }
        Ok(self.peek().is_none())
    }

    /// Takes an optional type in parentheses and the white space after it.
    fn take_type(&mut self) -> Result<Option<&'a str>, TextError> {
        if !self.skip(b'(') {
            return Ok(None);
        }
        self.skip_space();
        let name = self.take_bare();
        self.skip_space();
        if name.is_empty() || !self.skip(b')') {
            return Err(self.expected("a type in parentheses"));
        }
        self.skip_space();
        Ok(Some(name))
    }

    /// Takes a word or a quoted string.
    fn take_scalar(&mut self) -> Result<&'a str, TextError> {
        if self.peek() == Some(b'"') {
            return self.take_quoted();
        }
        match self.take_bare() {
            "" => Err(self.expected("a word, a string or a flat list of them")),
            word => Ok(word),
        }
    }

    fn take_bare(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !is_bare(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes a string, including its quotes.
    fn take_quoted(&mut self) -> Result<&'a str, TextError> {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == 0 || byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        match end.map(|end| end + 1) {
            Some(end) if rest.as_bytes()[end] == b'"' => {
                self.at += end + 1;
                Ok(&rest[..=end])
            }
            _ => Err(self.expected("a string that closes")),
        }
    }

    /// Takes the parentheses that start here and returns the text in them.
    fn take_features(&mut self) -> Result<&'a str, TextError> {
        let inner = &self.text[self.at + 1..];
        let end = inner.find(')').ok_or(self.expected("a closing parenthesis"))?;
        self.at += end + 2;
        Ok(&inner[..end])
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn expected(&self, expected: &'static str) -> TextError {
        TextError::Unexpected { at: self.at, expected }
    }
}
