//! Replies as `redis-cli` shows them.

use crate::double::write_double;
use crate::inline::quote;
use crate::value::Value;

/// For whom a reply is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderMode {
    /// A person at a terminal: types named, strings quoted, elements numbered.
    Terminal,
    /// A program at the other end of a pipe: bytes as they are, an element a line.
    Raw,
}

impl Value {
    /// Appends the reply as `redis-cli` 7.0 prints it to a terminal or a pipe, its final line feed included.
    ///
    /// ```
    /// use resp::{RenderMode, Value};
    ///
    /// let reply = Value::Array(vec![Value::Bulk(b"a b".to_vec()), Value::Integer(7), Value::Null]);
    /// let mut text = Vec::new();
    /// reply.render(&mut text, RenderMode::Terminal);
    /// assert_eq!(text, b"1) \"a b\"\n2) (integer) 7\n3) (nil)\n");
    ///
    /// let mut text = Vec::new();
    /// reply.render(&mut text, RenderMode::Raw);
    /// assert_eq!(text, b"a b\n7\n\n");
    /// ```
    pub fn render(&self, out: &mut Vec<u8>, mode: RenderMode) {
        match mode {
            RenderMode::Terminal => render_terminal(self, out, 0),
            RenderMode::Raw => {
                render_raw(self, out);
                out.push(b'\n');
            }
        }
    }
}

/// Writes a value whose first line begins after `indent` characters that are there already.
fn render_terminal(value: &Value, out: &mut Vec<u8>, indent: usize) {
    match value {
        Value::Simple(text) | Value::Verbatim { text, .. } => out.extend_from_slice(text),
        Value::Error(text) => {
            out.extend_from_slice(b"(error) ");
            out.extend_from_slice(text);
        }
        Value::Integer(number) => {
            out.extend_from_slice(b"(integer) ");
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Double(number) => {
            out.extend_from_slice(b"(double) ");
            write_double(out, *number);
        }
        Value::BigNumber(digits) => {
            out.extend_from_slice(b"(big number) ");
            out.extend_from_slice(digits);
        }
        Value::Bulk(bytes) => quote(out, bytes),
        Value::Null | Value::NullArray => out.extend_from_slice(b"(nil)"),
        Value::Boolean(truth) => out.extend_from_slice(if *truth { b"(true)" } else { b"(false)" }),
        Value::Array(elements) => {
            return render_elements(elements, ')', "(empty array)", out, indent);
        }
        Value::Set(elements) => return render_elements(elements, '~', "(empty set)", out, indent),
        Value::Push(elements) => {
            return render_elements(elements, ')', "(empty push)", out, indent);
        }
        Value::Map(pairs) => return render_pairs(pairs, '#', "(empty hash)", out, indent),
        Value::Attributed { attributes, value } => {
            render_pairs(attributes, '|', "(empty attribute)", out, indent);
            pad(out, indent);
            return render_terminal(value, out, indent);
        }
    }
    out.push(b'\n');
}

fn render_elements(
    elements: &[Value],
    separator: char,
    empty: &str,
    out: &mut Vec<u8>,
    indent: usize,
) {
    let nested = start_aggregate(elements.len(), empty, out, indent);
    for (index, element) in elements.iter().enumerate() {
        number_line(index, elements.len(), separator, out, indent);
        render_terminal(element, out, nested);
    }
}

fn render_pairs(
    pairs: &[(Value, Value)],
    separator: char,
    empty: &str,
    out: &mut Vec<u8>,
    indent: usize,
) {
    let nested = start_aggregate(pairs.len(), empty, out, indent);
    for (index, (key, value)) in pairs.iter().enumerate() {
        number_line(index, pairs.len(), separator, out, indent);
        render_terminal(key, out, nested);
        // The key has ended its line; its value follows on the same one.
        out.pop();
        out.extend_from_slice(b" => ");
        if is_multiline(value) {
            out.push(b'\n');
            pad(out, nested);
        }
        render_terminal(value, out, nested);
    }
}

/// Whether a value takes more than one line, so that as a map's value it begins on a line of its own.
fn is_multiline(value: &Value) -> bool {
    match value {
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
            match elements.as_slice() {
                [] => false,
                [only] => is_multiline(only),
                _ => true,
            }
        }
        Value::Map(pairs) => match pairs.as_slice() {
            [] => false,
            [(_, only)] => is_multiline(only),
            _ => true,
        },
        Value::Attributed { .. } => true,
        _ => false,
    }
}

/// Says so if there is nothing to show, and tells the indentation of what is inside.
fn start_aggregate(count: usize, empty: &str, out: &mut Vec<u8>, indent: usize) -> usize {
    if count == 0 {
        out.extend_from_slice(empty.as_bytes());
        out.push(b'\n');
    }
    indent + digit_count(count) + 2
}

/// Begins the line of one element: ` 7) `, as wide as the largest number needs.
fn number_line(index: usize, count: usize, separator: char, out: &mut Vec<u8>, indent: usize) {
    if index > 0 {
        pad(out, indent);
    }
    let number = index + 1;
    pad(out, digit_count(count) - digit_count(number));
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(&[separator as u8, b' ']);
}

fn pad(out: &mut Vec<u8>, spaces: usize) {
    out.extend(std::iter::repeat_n(b' ', spaces));
}

fn digit_count(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn render_raw(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Simple(text) | Value::Bulk(text) | Value::Verbatim { text, .. } => {
            out.extend_from_slice(text)
        }
        // Redis-cli ends an error's line here, and again where every value's line ends.
        Value::Error(text) => {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        Value::Integer(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
        Value::Double(number) => write_double(out, *number),
        Value::BigNumber(digits) => out.extend_from_slice(digits),
        Value::Null | Value::NullArray => {}
        Value::Boolean(truth) => out.extend_from_slice(if *truth { b"(true)" } else { b"(false)" }),
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                render_raw(element, out);
            }
        }
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                render_raw(key, out);
                out.push(b' ');
                render_raw(value, out);
            }
        }
        Value::Attributed { value, .. } => render_raw(value, out),
    }
}
