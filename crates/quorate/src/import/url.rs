//! Where a running Redis is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`.

use std::str::FromStr;

use server::config::Address;

/// Port of a Redis that names none.
const DEFAULT_PORT: u16 = 6379;

/// A running Redis, and who to be to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl {
    pub(crate) address: Address,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
    /// The only database that is read, if one is named.
    pub(crate) database: Option<u32>,
}

/// Without the password.
impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "redis://{}", self.address)
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("rediss://") {
            return Err(
                "TLS to the source is not supported: save an RDB file there \
                        (redis-cli --rdb dump.rdb) and import that"
                    .to_owned(),
            );
        }
        let expected = || "write redis://[:PASSWORD@]HOST:PORT[/DB]".to_owned();
        let rest = text.strip_prefix("redis://").ok_or_else(expected)?;
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            // As redis-cli: what stands alone is the password.
            Some(None) => (None, login),
            None => (None, None),
        };
        let (host, database) = match place.split_once('/') {
            Some((host, "")) => (host, None),
            Some((host, database)) => (host, Some(database.parse().map_err(|_| expected())?)),
            None => (place, None),
        };
        let has_port = match host.rsplit_once(']') {
            Some((_, behind)) => behind.starts_with(':'),
            None => host.contains(':'),
        };
        let host = match has_port {
            true => host.to_owned(),
            false => format!("{host}:{DEFAULT_PORT}"),
        };
        let decoded = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(decode);
        Ok(Self {
            address: host.parse()?,
            user: decoded(user).transpose()?,
            password: decoded(password).transpose()?,
            database,
        })
    }
}

/// Percent-encoding, with which a password may hold `@`, `/` and `%`.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| char::from(digit?).to_digit(16));
        let [Some(high), Some(low)] = digits else {
            return Err("a % in the password is written %25".to_owned());
        };
        bytes.push((high * 16 + low) as u8);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_but_the_host_may_be_missing() {
        let url: RedisUrl = "redis://10.0.0.1".parse().unwrap();
        assert_eq!(url.address, Address::new("10.0.0.1", 6379));
        assert_eq!((url.user, url.password, url.database), (None, None, None));

        let url: RedisUrl = "redis://ann:p%40ss:w@[::1]:7000/3".parse().unwrap();
        assert_eq!(url.address, Address::new("::1", 7000));
        assert_eq!(url.user.as_deref(), Some(b"ann".as_slice()));
        assert_eq!(url.password.as_deref(), Some(b"p@ss:w".as_slice()));
        assert_eq!(url.database, Some(3));
        assert_eq!(format!("{url:?}"), "redis://[::1]:7000");

        let url: RedisUrl = "redis://:secret@host/".parse().unwrap();
        assert_eq!((url.user, url.database), (None, None));
        assert_eq!(url.password.as_deref(), Some(b"secret".as_slice()));
        let url: RedisUrl = "redis://secret@[::1]".parse().unwrap();
        assert_eq!(url.address, Address::new("::1", 6379));
        assert_eq!(url.password.as_deref(), Some(b"secret".as_slice()));
    }

    #[test]
    fn others_are_refused() {
        for wrong in [
            "127.0.0.1:6379",
            "rediss://host:6380",
            "redis://host:1/x",
            "redis://host:port",
            "redis://:a%2@host",
            "redis://",
        ] {
            assert!(wrong.parse::<RedisUrl>().is_err(), "{wrong}");
        }
    }
}
