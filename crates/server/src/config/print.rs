//! `--print-config`: what is in force, as a file that can be read back.

use super::{Config, Origin};

/// Column at which the origin of a value starts, where the value leaves room.
const ORIGIN_COLUMN: usize = 48;

pub(super) fn to_toml(config: &Config) -> String {
    let mut text = String::from(
        "# The settings in force, each with where its value came from. Sources, the first wins:\n\
         # flags, environment, configuration file, defaults. This is a configuration file itself.\n",
    );
    for setting in Config::settings() {
        let origin = config.origin(setting.key);
        if setting.is_hidden && *origin == Origin::Default {
            continue;
        }
        if setting.is_secret() && config.requirepass.is_some() {
            // A password taken from a file came by the other setting, which is shown.
            let shown = if config.requirepass_file.is_some() {
                "requirepass-file"
            } else {
                setting.key
            };
            let origin = config.origin(shown);
            text.push_str(&format!(
                "# {} is set, and not shown  # {origin}\n",
                setting.key
            ));
            continue;
        }
        let line = match (setting.read)(config) {
            Some(value) => format!("{} = {value}", setting.key),
            None => format!("# {} is not set", setting.key),
        };
        text.push_str(&format!("{line:ORIGIN_COLUMN$}  # {origin}\n"));
    }
    text
}
