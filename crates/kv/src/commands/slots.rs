//! The keys of a hash slot: the two CLUSTER subcommands that look at the data set.

use resp::Encoder;

use crate::context::ReadContext;
use crate::errors;
use crate::keyspace::SLOT_COUNT;
use crate::number::parse_integer;

/// `CLUSTER COUNTKEYSINSLOT slot`
pub(crate) fn countkeysinslot(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let Some(number) = parse_integer(args[2]) else {
        return out.error(errors::NOT_AN_INTEGER);
    };
    match slot(number) {
        Some(slot) => out.integer(context.store().count_keys_in_slot(slot) as i64),
        None => out.error("ERR Invalid slot"),
    }
}

/// `CLUSTER GETKEYSINSLOT slot count`
pub(crate) fn getkeysinslot(context: &ReadContext<'_>, args: &[&[u8]], out: &mut Encoder<'_>) {
    let (Some(number), Some(count)) = (parse_integer(args[2]), parse_integer(args[3])) else {
        return out.error(errors::NOT_AN_INTEGER);
    };
    let (Some(slot), Ok(count_max)) = (slot(number), usize::try_from(count)) else {
        return out.error("ERR Invalid slot or number of keys");
    };
    let keys = context.store().keys_in_slot(slot, count_max);
    out.array(keys.len());
    for key in &keys {
        out.bulk(key);
    }
}

fn slot(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|&slot| slot < SLOT_COUNT)
}
