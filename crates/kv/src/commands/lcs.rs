//! LCS: the longest common subsequence of two strings.
//!
//! The table of lengths of common subsequences of all pairs of prefixes is filled, and walked back
//! from its end. Among several longest subsequences, and of the ways to place one, the walk picks
//! the one that Redis' does: where both ways lead to as long a rest, it drops a byte of the second
//! string. Memory is four bytes per cell; Redis refuses tables larger than `proto-max-bulk-len`, and
//! so do we.

use std::ops::RangeInclusive;

use resp::Encoder;

use crate::commands::strings_range::STRING_BYTES_MAX;
use crate::context::ReadContext;
use crate::errors;
use crate::number::parse_integer;
use crate::value::Value;

const NOT_STRINGS: &str = "ERR The specified keys must contain string values";
const LEN_AND_IDX: &str = "ERR If you want both the length and indexes, please just use IDX.";
const TABLE_TOO_LARGE: &str =
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
const TABLE_NOT_ALLOCATED: &str =
    "ERR Insufficient memory, failed allocating transient memory for LCS";

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`: an absent key counts as empty.
pub(crate) fn lcs(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let values = [context.get(args[1]), context.get(args[2])];
    if values
        .iter()
        .flatten()
        .any(|value| value.as_string().is_none())
    {
        return out.error(NOT_STRINGS);
    }
    let options = match Options::parse(&args[3..]) {
        Ok(options) => options,
        Err(error) => return out.error(error),
    };
    let [left, right] = values.map(|value| {
        let string = value.and_then(Value::as_string);
        string.map_or_else(Vec::new, |string| string.with_bytes(<[u8]>::to_vec))
    });
    let table = match Table::build(&left, &right) {
        Ok(table) => table,
        Err(error) => return out.error(error),
    };
    if options.positions {
        reply_positions(&table, &options, out);
    } else if options.length_only {
        out.integer(i64::from(table.length()));
    } else {
        out.bulk(&table.subsequence());
    }
}

/// The `IDX` form: from the last match to the first, as the walk meets them.
fn reply_positions(table: &Table<'_>, options: &Options, out: &mut Encoder<'_>) {
    let mut matches = table.matches();
    matches.retain(|(left, _)| match_length(left) >= options.match_length_min);
    out.map(2);
    out.bulk(b"matches");
    out.array(matches.len());
    for (left, right) in &matches {
        out.array(2 + usize::from(options.with_match_length));
        for range in [left, right] {
            out.array(2);
            out.integer(*range.start() as i64);
            out.integer(*range.end() as i64);
        }
        if options.with_match_length {
            out.integer(match_length(left));
        }
    }
    out.bulk(b"len");
    out.integer(i64::from(table.length()));
}

fn match_length(range: &RangeInclusive<usize>) -> i64 {
    (range.end() - range.start() + 1) as i64
}

struct Options {
    length_only: bool,
    positions: bool,
    match_length_min: i64,
    with_match_length: bool,
}

impl Options {
    fn parse(mut args: &[&[u8]]) -> Result<Options, &'static str> {
        let mut options = Options {
            length_only: false,
            positions: false,
            match_length_min: 0,
            with_match_length: false,
        };
        while let Some((option, rest)) = args.split_first() {
            args = rest;
            if option.eq_ignore_ascii_case(b"IDX") {
                options.positions = true;
            } else if option.eq_ignore_ascii_case(b"LEN") {
                options.length_only = true;
            } else if option.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                options.with_match_length = true;
            } else if option.eq_ignore_ascii_case(b"MINMATCHLEN") {
                let (number, rest) = args.split_first().ok_or(errors::SYNTAX)?;
                args = rest;
                options.match_length_min = parse_integer(number).ok_or(errors::NOT_AN_INTEGER)?;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        if options.length_only && options.positions {
            return Err(LEN_AND_IDX);
        }
        Ok(options)
    }
}

/// Places of a run of equal bytes, in the first string and in the second.
type Match = (RangeInclusive<usize>, RangeInclusive<usize>);

/// The lengths of the longest common subsequences of all pairs of prefixes.
struct Table<'a> {
    left: &'a [u8],
    right: &'a [u8],
    /// Row by row; the cell (i, j) is about the first i bytes of `left` and the first j of `right`.
    cells: Vec<u32>,
}

impl<'a> Table<'a> {
    fn build(left: &'a [u8], right: &'a [u8]) -> Result<Table<'a>, &'static str> {
        let columns = right.len() + 1;
        let cell_count = (left.len() as u64 + 1).saturating_mul(columns as u64);
        if cell_count.saturating_mul(size_of::<u32>() as u64) > STRING_BYTES_MAX {
            return Err(TABLE_TOO_LARGE);
        }
        let mut cells = Vec::new();
        cells
            .try_reserve_exact(cell_count as usize)
            .map_err(|_| TABLE_NOT_ALLOCATED)?;
        cells.resize(columns, 0u32);
        for (row, left_byte) in left.iter().enumerate() {
            let above = row * columns;
            let mut before = 0;
            cells.push(before);
            for (column, right_byte) in right.iter().enumerate() {
                before = if left_byte == right_byte {
                    cells[above + column] + 1
                } else {
                    before.max(cells[above + column + 1])
                };
                cells.push(before);
            }
        }
        Ok(Table { left, right, cells })
    }

    fn cell(&self, left_count: usize, right_count: usize) -> u32 {
        self.cells[left_count * (self.right.len() + 1) + right_count]
    }

    fn length(&self) -> u32 {
        self.cell(self.left.len(), self.right.len())
    }

    fn subsequence(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.walk_back().map(|(left, _)| self.left[left]).collect();
        bytes.reverse();
        bytes
    }

    /// The subsequence as runs that are contiguous in both strings, the last run first.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        for (left, right) in self.walk_back() {
            match matches.last_mut() {
                Some((left_run, right_run))
                    if *left_run.start() == left + 1 && *right_run.start() == right + 1 =>
                {
                    *left_run = left..=*left_run.end();
                    *right_run = right..=*right_run.end();
                }
                _ => matches.push((left..=left, right..=right)),
            }
        }
        matches
    }

    /// The places of the bytes of the subsequence in both strings, from the last to the first.
    fn walk_back(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut left, mut right) = (self.left.len(), self.right.len());
        std::iter::from_fn(move || {
            while left > 0 && right > 0 {
                if self.left[left - 1] == self.right[right - 1] {
                    left -= 1;
                    right -= 1;
                    return Some((left, right));
                }
                if self.cell(left - 1, right) > self.cell(left, right - 1) {
                    left -= 1;
                } else {
                    right -= 1;
                }
            }
            None
        })
    }
}
