//! EDN, as far as histories are written in it. Own code, because the crates that read it name no line where it is wrong, or are
//! given up by their authors.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of EDN. Keywords, symbols, strings and characters are all text; a tag is dropped and what it tags stays.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Nil,
    Bool(bool),
    Whole(i64),
    /// A number that is not whole, as it is written.
    Other(String),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

/// How deep forms may lie in each other.
const DEPTH_MAX: usize = 64;

/// Reads one form after the other.
pub(super) struct Reader<'a> {
    text: Peekable<Chars<'a>>,
    /// From 1.
    pub(super) line: usize,
    depth: usize,
}

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.chars().peekable(), line: 1, depth: 0 }
    }

    /// The next form; none at the end. An error is about [`Reader::line`].
    pub(super) fn next(&mut self) -> Read<Option<Form>> {
        self.skip_discarded()?;
        if self.text.peek().is_none() { Ok(None) } else { self.form().map(Some) }
    }

    fn take(&mut self) -> Option<char> {
        let taken = self.text.next();
        self.line += usize::from(taken == Some('\n'));
        taken
    }

    /// Spaces, commas and comments.
    fn skip(&mut self) {
        while let Some(&next) = self.text.peek() {
            if next == ';' {
                while self.text.peek().is_some_and(|&next| next != '\n') {
                    self.take();
                }
            } else if next.is_whitespace() || next == ',' {
                self.take();
            } else {
                return;
            }
        }
    }

    /// The same, and forms that are discarded.
    pub(super) fn skip_discarded(&mut self) -> Read<()> {
        self.skip();
        while self.text.peek() == Some(&'#') && self.text.clone().nth(1) == Some('_') {
            self.take();
            self.take();
            self.deeper(Self::form)?;
            self.skip();
        }
        Ok(())
    }

    fn form(&mut self) -> Read<Form> {
        self.skip_discarded()?;
        match self.text.peek().copied() {
            None => Err("a form is missing; write one".to_owned()),
            Some('(' | '[' | '{') => self.deeper(Self::nested),
            Some('"') => self.string().map(Form::Text),
            Some('#') => self.deeper(Self::dispatch),
            Some(closing @ (')' | ']' | '}')) => Err(format!("{closing} closes nothing; leave it out")),
            Some('\\') => {
                self.take();
                let first = self.take().map_or(String::new(), String::from);
                Ok(Form::Text(first + &self.word()))
            }
            Some(_) => Ok(atom(&self.word())),
        }
    }

    /// Reads what other forms lie in.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read<Form>) -> Read<Form> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} forms lie in each other; flatten them"));
        }
        let form = read(self)?;
        self.depth -= 1;
        Ok(form)
    }

    fn nested(&mut self) -> Read<Form> {
        Ok(match self.take() {
            Some('{') => {
                let items = self.until('}')?;
                if !items.len().is_multiple_of(2) {
                    return Err("a map has a key without a value; write both".to_owned());
                }
                let mut entries = Vec::new();
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    entries.push((key, value));
                }
                Form::Map(entries)
            }
            Some('(') => Form::List(self.until(')')?),
            _ => Form::List(self.until(']')?),
        })
    }

    fn until(&mut self, closing: char) -> Read<Vec<Form>> {
        let mut items = Vec::new();
        loop {
            self.skip_discarded()?;
            match self.text.peek() {
                None => return Err(format!("{closing} is missing at the end; the file may be cut off")),
                Some(&next) if next == closing => {
                    self.take();
                    return Ok(items);
                }
                Some(_) => items.push(self.form()?),
            }
        }
    }

    /// A set, or a tagged form.
    fn dispatch(&mut self) -> Read<Form> {
        self.take();
        if self.text.peek() == Some(&'{') {
            self.take();
            return Ok(Form::List(self.until('}')?));
        }
        self.word();
        self.form()
    }

    fn string(&mut self) -> Read<String> {
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None => return Err("\" is missing at the end; the file may be cut off".to_owned()),
                Some('"') => return Ok(text),
                Some('\\') => text.push(match self.take() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some('u') => {
                        let digits: String = (0..4).filter_map(|_| self.take()).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        code.ok_or_else(|| format!("\\u{digits} is no character; write four digits"))?
                    }
                    Some(other) => other,
                    None => continue,
                }),
                Some(other) => text.push(other),
            }
        }
    }

    /// Up to what ends a symbol or a number.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(&next) = self.text.peek() {
            if next.is_whitespace() || ",;()[]{}\"".contains(next) {
                break;
            }
            word.push(next);
            self.take();
        }
        word
    }
}

fn atom(word: &str) -> Form {
    match word {
        "nil" => return Form::Nil,
        "true" => return Form::Bool(true),
        "false" => return Form::Bool(false),
        _ => {}
    }
    if let Some(keyword) = word.strip_prefix(':') {
        return Form::Text(keyword.to_owned());
    }
    let digits = word.strip_suffix('N').unwrap_or(word);
    if let Ok(number) = digits.parse() {
        Form::Whole(number)
    } else if digits.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit()) {
        Form::Other(word.to_owned())
    } else {
        Form::Text(word.to_owned())
    }
}
