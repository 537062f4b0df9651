//! The table of settings: one line a setting, from which everything else about it is made.

use super::Config;

/// One setting, as the command line, the environment, the file and the help need it.
pub struct Setting {
    /// Name in a file, and of the flag without its dashes: `election-timeout`.
    pub key: &'static str,
    /// What stands for the value in help: `DURATION`.
    pub value_name: &'static str,
    /// The value if no source gives one; empty if the setting is then not set.
    pub default: &'static str,
    /// What it means and why one would change it.
    pub doc: &'static [&'static str],
    /// Not shown in help and in `--print-config` unless it was changed.
    pub is_hidden: bool,
    /// Reads a value, or says what was expected instead.
    pub(super) write: fn(&mut Config, &str) -> Result<(), String>,
    /// The value as a TOML literal; `None` if the setting is not set.
    pub(super) read: fn(&Config) -> Option<String>,
}

impl Setting {
    /// The setting of a name.
    pub fn by_key(key: &str) -> Option<&'static Setting> {
        Config::settings().iter().find(|setting| setting.key == key)
    }

    /// The environment variable that sets it: `QUORATE_ELECTION_TIMEOUT`.
    pub fn variable(&self) -> String {
        format!(
            "QUORATE_{}",
            self.key.replace('-', "_").to_ascii_uppercase()
        )
    }

    /// The documentation as one paragraph.
    pub fn help(&self) -> String {
        let mut help = String::new();
        for line in self.doc {
            if !help.is_empty() {
                help.push(' ');
            }
            help.push_str(line.trim());
        }
        help
    }

    /// Whether the value must never be printed.
    pub fn is_secret(&self) -> bool {
        self.key == "requirepass"
    }
}

/// Makes [`Config`], its defaults and the table of settings from lines of the form
/// `"key" field: Type, "VALUE NAME", "default";`, each under its documentation.
macro_rules! settings {
    (@hidden) => { false };
    (@hidden hidden) => { true };
    ($(
        $(#[doc = $doc:literal])+
        $($hidden:ident)? $key:literal $field:ident: $type:ty, $value_name:literal, $default:literal;
    )+) => {
        /// The configuration of a node. Made by [`Config::load`], which has checked it.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $(
                $(#[doc = $doc])+
                pub $field: $type,
            )+
            /// Where values came from; a key that is missing has its default.
            origins: std::collections::BTreeMap<&'static str, $crate::config::source::Origin>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $(
                        $field: <$type as $crate::config::value::Value>::parse($default)
                            .expect("the default of a setting is a value of it"),
                    )+
                    origins: std::collections::BTreeMap::new(),
                }
            }
        }

        impl Config {
            /// Every setting, in the order in which help and `--print-config` show them.
            pub fn settings() -> &'static [$crate::config::table::Setting] {
                const SETTINGS: &[$crate::config::table::Setting] = &[$(
                    $crate::config::table::Setting {
                        key: $key,
                        value_name: $value_name,
                        default: $default,
                        doc: &[$($doc),+],
                        is_hidden: settings!(@hidden $($hidden)?),
                        write: |config, text| {
                            config.$field = <$type as $crate::config::value::Value>::parse(text)?;
                            Ok(())
                        },
                        read: |config| $crate::config::value::Value::print(&config.$field),
                    },
                )+];
                SETTINGS
            }

            #[cfg(test)]
            pub(crate) const FIELDS: &[(&str, &str)] = &[$(($key, stringify!($field))),+];
        }
    };
}
pub(super) use settings;
