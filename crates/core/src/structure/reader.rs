//! Finds the fields in the text of a structure, without allocating and without recursion (but for nested.rs).

use super::{MAX_NESTING, MAX_TEXT, TextError, is_bare, is_name, nested};

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// Checks what GStreamer's parser does not: length, nesting from a level up, brackets and quotes that close, no stray characters.
fn check_bounds(text: &str, level: usize) -> Result<(), TextError> {
    if text.len() > MAX_TEXT {
        return Err(TextError::TooLong { len: text.len() });
    }
    let mut open = [0; MAX_NESTING];
    let open = open.get_mut(level..).ok_or(TextError::TooDeep { at: 0 })?;
    let mut depth = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let closer = match byte {
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            b'(' => b')',
            b']' | b'}' | b'>' | b')' => {
                if depth == 0 || open[depth - 1] != byte {
                    return Err(TextError::Unexpected { at, expected: "the bracket that closes the last one" });
                }
                depth -= 1;
                continue;
            }
            b'"' => {
                skip_quoted(&mut bytes).ok_or(TextError::Unexpected { at, expected: "a quote that closes" })?;
                continue;
            }
            b',' | b';' | b'=' => continue,
            _ if is_bare(byte) || is_space(byte) => continue,
            _ => {
                return Err(TextError::Unexpected { at, expected: "a printable ASCII character outside quotes" });
            }
        };
        *open.get_mut(depth).ok_or(TextError::TooDeep { at })? = closer;
        depth += 1;
    }
    if depth > 0 {
        return Err(TextError::Unexpected { at: text.len(), expected: "a closing bracket" });
    }
    Ok(())
}

/// Goes behind the closing quote; `None` if there is none, or a NUL.
fn skip_quoted(bytes: &mut impl Iterator<Item = (usize, u8)>) -> Option<()> {
    loop {
        match bytes.next()?.1 {
            b'"' => return Some(()),
            b'\\' if bytes.next()?.1 == 0 => return None,
            0 => return None,
            _ => {}
        }
    }
}

/// What stands before the first field.
pub(crate) struct Head<'a> {
    pub name: &'a str,
    /// What stands in parentheses behind the name, and where.
    pub features: Option<(&'a str, usize)>,
}

/// One field as it stands in the text.
pub(crate) struct Field<'a> {
    pub name: &'a str,
    /// What stands in parentheses before the value.
    pub type_name: Option<&'a str>,
    /// The value without its type.
    pub value: &'a str,
    /// The value with its type.
    pub raw: &'a str,
}

/// Reads the name and leaves the fields to be read; allocates nothing.
pub(crate) fn open(text: &str) -> Result<(Head<'_>, Fields<'_>), TextError> {
    open_at(text, 0)
}

/// The same for text inside that many brackets and quotes.
pub(super) fn open_at(text: &str, level: usize) -> Result<(Head<'_>, Fields<'_>), TextError> {
    check_bounds(text, level)?;
    let mut fields = Fields::new(text, level);
    fields.skip_space();
    let start = fields.at;
    let name = fields.take_bare();
    if !is_name(name) {
        return Err(TextError::Unexpected { at: start, expected: "a name that starts with a letter" });
    }
    let features_at = fields.at;
    let features = (fields.peek() == Some(b'(')).then(|| (fields.take_bracketed(), features_at));
    Ok((Head { name, features }, fields))
}

/// Checks that text is a structure, and returns its name; allocates only to read a structure in quotes.
pub(crate) fn check(text: &str) -> Result<&str, TextError> {
    let (head, mut fields) = open(text)?;
    if let Some((_, at)) = head.features {
        return Err(TextError::Unexpected { at, expected: "a comma or the end" });
    }
    fields.try_for_each(|field| field.map(drop))?;
    Ok(head.name)
}

/// Iterator over the fields of text whose bounds were checked; ends after the first error.
pub(crate) struct Fields<'a> {
    text: &'a str,
    level: usize,
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
    pub(super) const fn new(text: &'a str, level: usize) -> Self {
        Self { text, level, at: 0, failed: false }
    }

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
        nested::check_value(name, type_name, None, value, self.level).map_err(|error| error.inside(start))?;
        Ok(Some(Field { name, type_name, value, raw: &self.text[start..self.at] }))
    }

    /// Goes to the next item of a list; false if there is none.
    pub(super) fn skip_to_item(&mut self) -> bool {
        self.skip_space();
        while self.skip(b',') {
            self.skip_space();
        }
        self.peek().is_some()
    }

    /// What stands in parentheses, if anything does, and the value behind it.
    pub(super) fn take_typed(&mut self) -> Result<(Option<&'a str>, &'a str), TextError> {
        let type_name = if self.peek() == Some(b'(') { Some(self.take_type()?) } else { None };
        self.skip_space();
        Ok((type_name, self.take_value()?))
    }

    /// Whether nothing but a semicolon and white space is left.
    fn at_end(&mut self) -> Result<bool, TextError> {
        if self.skip(b';') {
            self.skip_space();
            return if self.peek().is_none() { Ok(true) } else { Err(self.expected("nothing after the semicolon")) };
        }
        Ok(self.peek().is_none())
    }

    fn take_type(&mut self) -> Result<&'a str, TextError> {
        let at = self.at;
        let name = self.take_bracketed().trim_matches(|c: char| c.is_ascii_whitespace());
        if name.is_empty() || !name.bytes().all(is_bare) {
            return Err(TextError::Unexpected { at, expected: "a type in parentheses" });
        }
        Ok(name)
    }

    /// A word, a quoted string or something in brackets.
    fn take_value(&mut self) -> Result<&'a str, TextError> {
        match self.peek() {
            Some(b'"') => Ok(self.take_quoted()),
            Some(b'[' | b'{' | b'<') => {
                let start = self.at;
                self.take_bracketed();
                Ok(&self.text[start..self.at])
            }
            _ => match self.take_bare() {
                "" => Err(self.expected("a value")),
                word => Ok(word),
            },
        }
    }

    fn take_bare(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !is_bare(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A quoted string, quotes included; that it closes was checked.
    fn take_quoted(&mut self) -> &'a str {
        let start = self.at;
        let mut rest = self.text.bytes().enumerate().skip(start + 1);
        skip_quoted(&mut rest);
        self.at = rest.next().map_or(self.text.len(), |(at, _)| at);
        &self.text[start..self.at]
    }

    /// What stands between a bracket and the one that closes it; that it closes was checked.
    fn take_bracketed(&mut self) -> &'a str {
        let start = self.at;
        let mut depth = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.take_quoted();
                    continue;
                }
                b'[' | b'{' | b'<' | b'(' => depth += 1,
                b']' | b'}' | b'>' | b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        &self.text[start + 1..self.at - 1]
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
