//! The types of settings: how each is read from text and printed as TOML.
//!
//! A parser that fails says what it expected, in words that finish the line "`--flag value`: …".

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// A type that a setting can have.
pub(super) trait Value: Sized {
    /// Reads a value; the error says what was expected.
    fn parse(text: &str) -> Result<Self, String>;
    /// The value as a TOML literal that [`Value::parse`] reads back; `None` if it is not set.
    fn print(&self) -> Option<String>;
}

/// A TOML basic string.
fn quoted(text: impl AsRef<str>) -> String {
    toml::Value::String(text.as_ref().to_owned()).to_string()
}

/// A host and a port. The host is a name or an IP address and is looked up only when it is used, so
/// that a configuration can name machines that are not there yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Host name or IP address, an IPv6 address without its brackets.
    pub host: String,
    /// TCP port; 0 lets the system choose one, where that makes sense.
    pub port: u16,
}

impl Address {
    /// An address of its parts.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
        }
    }

    /// The socket addresses behind it.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }

    /// Whether only this machine can reach it. A name other than `localhost` counts as reachable.
    pub fn is_loopback(&self) -> bool {
        self.ip()
            .map_or(self.host.eq_ignore_ascii_case("localhost"), |ip| {
                ip.is_loopback()
            })
    }

    /// Whether it stands for all addresses of the machine, and so cannot be told to others.
    pub fn is_wildcard(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "not an address: write HOST:PORT, such as 127.0.0.1:6379".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port.parse().map_err(|_| expected())?;
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(host)) if host.parse::<Ipv6Addr>().is_ok() => host,
            Some(_) => return Err(expected()),
            None if host.contains(':') => {
                return Err(
                    "not an address: write an IPv6 address in brackets, such as [::1]:6379"
                        .to_owned(),
                );
            }
            None => host,
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(expected());
        }
        // No top-level domain is a number (RFC 3696, section 2): this was meant as an IPv4 address.
        let last = host.rsplit('.').next().unwrap_or(host);
        if last.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
            return Err(format!("{host} is not an IPv4 address"));
        }
        Ok(Self::new(host, port))
    }
}

impl Value for Address {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim().parse()
    }

    fn print(&self) -> Option<String> {
        Some(quoted(self.to_string()))
    }
}

impl Value for Vec<Address> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(Address::parse).collect()
    }

    fn print(&self) -> Option<String> {
        let addresses: Vec<_> = self
            .iter()
            .map(|address| quoted(address.to_string()))
            .collect();
        match addresses.as_slice() {
            [one] => Some(one.clone()),
            _ => Some(format!("[{}]", addresses.join(", "))),
        }
    }
}

/// The first members of a cluster: ids with peer addresses. Empty if it was not set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(BTreeMap<u64, Address>);

impl Members {
    /// The address of a member.
    pub fn get(&self, id: u64) -> Option<&Address> {
        self.0.get(&id)
    }

    /// The members in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&u64, &Address)> {
        self.0.iter()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no list was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value for Members {
    fn parse(text: &str) -> Result<Self, String> {
        let mut members = BTreeMap::new();
        if text.trim().is_empty() {
            return Ok(Self(members));
        }
        for part in text.split(',') {
            let (id, address) = part.split_once('=').ok_or_else(|| {
                format!("{part:?} is not a member: write ID=HOST:PORT, such as 1=127.0.0.1:8001")
            })?;
            let id = u64::parse(id).map_err(|expected| format!("{id:?} is {expected}"))?;
            let address =
                Address::parse(address).map_err(|expected| format!("{address:?} is {expected}"))?;
            if address.port == 0 || address.is_wildcard() {
                return Err(format!(
                    "{address} is not an address that other nodes can reach"
                ));
            }
            if let Some((other, _)) = members.iter().find(|(_, other)| **other == address) {
                return Err(format!(
                    "nodes {other} and {id} have the same address {address}"
                ));
            }
            if members.insert(id, address).is_some() {
                return Err(format!(
                    "node {id} is named twice; give every node its own id"
                ));
            }
        }
        Ok(Self(members))
    }

    fn print(&self) -> Option<String> {
        let members: Vec<_> = self
            .0
            .iter()
            .map(|(id, address)| quoted(format!("{id}={address}")))
            .collect();
        (!members.is_empty()).then(|| format!("[{}]", members.join(", ")))
    }
}

/// A number of bytes, written with a binary unit: `16MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// The units of [`ByteSize`], the largest first.
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl ByteSize {
    /// The number of bytes as a length in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |unit: &&(&str, u64)| self.0 >= unit.1 && self.0.is_multiple_of(unit.1);
        let (name, bytes) = SIZE_UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(formatter, "{}{name}", self.0 / bytes)
    }
}

impl Value for ByteSize {
    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let unit = if unit.is_empty() { "B" } else { unit };
        SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .and_then(|(_, bytes)| number.parse::<u64>().ok()?.checked_mul(*bytes))
            .map(ByteSize)
            .ok_or_else(|| {
                "not a size: write a number and B, KiB, MiB or GiB, such as 16MiB".into()
            })
    }

    fn print(&self) -> Option<String> {
        Some(quoted(self.to_string()))
    }
}

/// The units of durations in milliseconds, the largest first.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, millis)| number.parse::<u64>().ok()?.checked_mul(*millis))
            .map(Duration::from_millis)
            .ok_or_else(|| "not a duration: write a number and ms, s, m or h, such as 150ms".into())
    }

    fn print(&self) -> Option<String> {
        Some(quoted(duration_text(*self)))
    }
}

/// A duration in its largest exact unit: `150ms`, `5s`, `1m`.
pub fn duration_text(duration: Duration) -> String {
    let total = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let exact = |unit: &&(&str, u64)| total >= unit.1 && total.is_multiple_of(unit.1);
    let (name, millis) = DURATION_UNITS.iter().find(exact).unwrap_or(&("ms", 1));
    format!("{}{name}", total / millis)
}

/// The digits a text begins with, and the rest without the spaces between.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A text that is never printed, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the one place that compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

impl Value for Secret {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }

    fn print(&self) -> Option<String> {
        None
    }
}

/// An empty text means "not set", in every source: so a flag can take back what a file says.
impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn print(&self) -> Option<String> {
        self.as_ref()?.print()
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err("not a name: write one or more printable characters".into());
        }
        Ok(text.to_owned())
    }

    fn print(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("not a path".into())
        } else {
            Ok(Self::from(text))
        }
    }

    fn print(&self) -> Option<String> {
        Some(quoted(self.to_string_lossy()))
    }
}

/// Ids are the only plain 64-bit numbers among the settings, and zero is no id.
impl Value for u64 {
    fn parse(text: &str) -> Result<Self, String> {
        let id = text
            .trim()
            .parse()
            .ok()
            .filter(|id| (1..=i64::MAX as u64).contains(id));
        id.ok_or_else(|| "not a node id: write a whole number from 1 up".into())
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for u32 {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim()
            .parse()
            .map_err(|_| "not a count: write a whole number".into())
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(true),
            "no" | "false" | "off" => Ok(false),
            _ => Err("neither yes nor no".into()),
        }
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Makes an enum whose values are words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant),+
        }

        impl $name {
            /// The word that stands for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Value for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text.trim() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("none of {}", [$($word),+].join(", "))),
                }
            }

            fn print(&self) -> Option<String> {
                Some(quoted(self.word()))
            }
        }
    };
}

words! {
    /// Whether clients must show a certificate.
    TlsClientAuth {
        /// None is asked for.
        No = "no",
        /// One is checked if it is shown.
        Optional = "optional",
        /// Without a good one there is no connection.
        Required = "required",
    }
}

words! {
    /// Form of the node's own log.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// Least severity of lines in the node's own log.
    LogLevel {
        /// What needs a person.
        Error = "error",
        /// What may need one.
        Warn = "warn",
        /// What changes: roles, members, connections of peers.
        Info = "info",
        /// What happens.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// Which disk a node runs on; other than `Std` only in tests that show that a sync is real.
    TestVfs {
        /// The file system.
        Std = "std",
        /// A disk in memory over the directory that reaches it only by a sync.
        Lossy = "lossy",
        /// The same, with syncs that are left out.
        LossyNosync = "lossy-nosync",
    }
}
