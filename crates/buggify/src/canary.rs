//! The bugs that the simulator must notice.

/// Declares the canaries: name, row of the catalogue, what the mistake is.
macro_rules! canaries {
    ($($(#[doc = $doc:literal])+ $name:ident = $row:literal;)+) => {
        /// A bug that a serious system shipped, kept as a switch. The number is its row in the catalogue
        /// of `docs/proof.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Canary {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Canary {
            /// All of them, in the order of the catalogue.
            pub const ALL: &[Canary] = &[$(Canary::$name),+];

            /// The row of the catalogue it belongs to.
            pub fn row(self) -> u32 {
                match self {
                    $(Canary::$name => $row,)+
                }
            }

            /// Its name, as it is typed on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Canary::$name => stringify!($name),)+
                }
            }

            /// What the mistake is, in a line.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Canary::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

canaries! {
    /// A vote is answered before it is durable.
    VoteBeforeDurable = 1;
    /// The leader counts its own entry before its own disk has it.
    OwnMatchBeforeDurable = 31;
}
