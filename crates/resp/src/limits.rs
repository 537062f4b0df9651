//! How much one header may announce, before and after authentication.

/// The most digits (a sign counted) that a length header may have: as many as `i64::MIN` has.
///
/// Redis waits for 64 KiB without a carriage return before it gives up. No longer header can be a valid
/// number, so waiting for more of it only holds memory.
pub(crate) const HEADER_DIGITS_MAX: usize = 20;

/// What a client may ask of the request parser.
///
/// A client that has not said who it is gets a small allowance, enough for `AUTH` and `HELLO` (CVE-2021-32675:
/// before these limits an unauthenticated client could make Redis reserve memory without bound).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most arguments of one multibulk request, the command's name included. The number of words of an
    /// inline request is bounded by its bytes alone, as in Redis.
    pub args_max: usize,
    /// The most bytes of one argument of a multibulk request.
    pub bulk_bytes_max: usize,
    /// The most bytes of an inline request before its line feed.
    pub inline_bytes_max: usize,
    /// Whether the client has authenticated, or need not. Decides which text a refusal carries, since Redis
    /// words "invalid" and "not before you authenticate" differently.
    pub authenticated: bool,
}

impl Limits {
    /// For a client that must authenticate and has not yet: the limits of Redis 7.0's `authRequired` checks.
    pub const UNAUTHENTICATED: Limits = Limits {
        args_max: 10,
        bulk_bytes_max: 16 * 1024,
        inline_bytes_max: 64 * 1024,
        authenticated: false,
    };

    /// For everybody else: 1,048,576 arguments, which was Redis's limit before 7.0 raised it to `INT_MAX`, and
    /// the default of `proto-max-bulk-len`.
    pub const AUTHENTICATED: Limits = Limits {
        args_max: 1024 * 1024,
        bulk_bytes_max: 512 * 1024 * 1024,
        inline_bytes_max: 64 * 1024,
        authenticated: true,
    };
}

/// What a server may ask of the reply parser.
///
/// A client trusts its server more than a server trusts its clients, but a test, a proxy or a wrong port is no
/// server: the limits exist so that garbage becomes an error and not an exhausted memory or stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The most bytes of one string.
    pub bulk_bytes_max: usize,
    /// The most bytes of one line: a simple string, an error, a number.
    pub line_bytes_max: usize,
    /// The most aggregates inside one another.
    pub depth_max: usize,
}

impl ReplyLimits {
    /// 512 MiB strings as the server's own limit, lines of 1 MiB, 32 levels.
    pub const DEFAULT: ReplyLimits = ReplyLimits {
        bulk_bytes_max: 512 * 1024 * 1024,
        line_bytes_max: 1024 * 1024,
        depth_max: 32,
    };
}

impl Default for ReplyLimits {
    fn default() -> Self {
        ReplyLimits::DEFAULT
    }
}
