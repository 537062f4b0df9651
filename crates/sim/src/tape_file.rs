//! Tapes as text files: what it takes to repeat a run, and nothing else.
//!
//! ```text
//! quorate-sim tape 1
//! seed 81
//! profile default
//! duration 9500000us
//! canary VoteBeforeDurable
//! commit 2eb7016c1a2b
//! property election-safety
//! choices 2
//! swarm 0 3
//! fault 17 0   # process killed
//! ```
//!
//! The first line names the format and its version. Then come headers, a name and a value each, in any
//! order; `canary`, `commit` and `property` may be missing, and one that is not known is passed
//! over. After `choices` comes a choice a line: the kind of the site, what it is about, and
//! how many choices were made there before. `choices all` stands for the whole run of the seed.
//! Empty lines, and what follows a `#`, mean nothing.

use std::fmt::Write as _;

use buggify::Canary;
use thiserror::Error;

use crate::profile::Profile;
use crate::report::{FaultClass, RunOptions};
use crate::tape::{Choice, Site, SiteKind};

/// The version that this crate writes, and the highest that it reads.
pub const VERSION: u32 = 1;

const MAGIC: &str = "quorate-sim tape";

/// The kinds of sites and their names in tape files.
const KINDS: &[(SiteKind, &str)] = &[
    (SiteKind::Swarm, "swarm"),
    (SiteKind::FaultGap, "fault-gap"),
    (SiteKind::Fault, "fault"),
    (SiteKind::PacketFate, "packet-fate"),
    (SiteKind::PacketDelay, "packet-delay"),
    (SiteKind::DiskDelay, "disk-delay"),
    (SiteKind::DiskFault, "disk-fault"),
    (SiteKind::Process, "process"),
    (SiteKind::ClientGap, "client-gap"),
    (SiteKind::ClientChoice, "client-choice"),
    (SiteKind::ClientDelay, "client-delay"),
    (SiteKind::Buggify, "buggify"),
    (SiteKind::Liveness, "liveness"),
    (SiteKind::Seed, "seed"),
    (SiteKind::Clock, "clock"),
];

/// A tape file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeFile {
    /// The seed that all choices are drawn from.
    pub seed: u64,
    /// What might go wrong.
    pub profile: Profile,
    /// How long the run takes, in simulated time.
    pub duration_us: u64,
    /// The mistake that is made, if any.
    pub canary: Option<Canary>,
    /// The commit of the code that was run. Other code makes other choices.
    pub commit: Option<String>,
    /// The property that broke.
    pub property: Option<String>,
    /// The choices to make; elsewhere the benign ones. `None`: all choices of the seed.
    pub choices: Option<Vec<Choice>>,
}

/// Why a text is not a tape file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TapeFileError {
    /// The first line is not that of a tape file.
    #[error("line 1: not a tape file: it must begin with \"quorate-sim tape 1\"")]
    NoTape,
    /// It comes from a later version of this program.
    #[error("line 1: tape version {0}; this program reads up to {VERSION}")]
    Version(String),
    /// A header that must be there is not.
    #[error("the header {0:?} is missing")]
    Missing(&'static str),
    /// A line that cannot be read.
    #[error("line {line}: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There are fewer or more choices than the header says: the file was cut or edited.
    #[error("the header says {announced} choices, there are {found}: is the file whole?")]
    Count {
        /// What the header says.
        announced: usize,
        /// What there is.
        found: usize,
    },
}

impl TapeFile {
    /// The tape of a run with these options; `choices` are those to make if the options say `only`.
    pub fn of(options: &RunOptions, commit: Option<String>, property: Option<String>) -> TapeFile {
        let choices = options.only.as_ref().map(|only| {
            let mut choices: Vec<Choice> = only.iter().copied().collect();
            choices.sort_unstable();
            choices
        });
        TapeFile {
            seed: options.seed,
            profile: options.profile,
            duration_us: options.duration_us,
            canary: options.canary,
            commit,
            property,
            choices,
        }
    }

    /// What to ask of the world to repeat the run.
    pub fn options(&self) -> RunOptions {
        RunOptions {
            canary: self.canary,
            duration_us: self.duration_us,
            only: self
                .choices
                .as_ref()
                .map(|choices| choices.iter().copied().collect()),
            ..RunOptions::new(self.seed, self.profile)
        }
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut text = format!(
            "{MAGIC} {VERSION}\nseed {}\nprofile {}\nduration {}us\n",
            self.seed,
            self.profile.name(),
            self.duration_us
        );
        let mut header = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                // A value is one line.
                let value = value.replace(['\n', '\r', '#'], " ");
                let _ = writeln!(text, "{name} {value}");
            }
        };
        header("canary", self.canary.map(Canary::name));
        header("commit", self.commit.as_deref());
        header("property", self.property.as_deref());
        match &self.choices {
            None => text.push_str("choices all\n"),
            Some(choices) => {
                let _ = writeln!(text, "choices {}", choices.len());
                for choice in choices {
                    let _ = writeln!(text, "{}", describe(choice));
                }
            }
        }
        text
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Says which line is wrong, and how.
    pub fn parse(text: &str) -> Result<TapeFile, TapeFileError> {
        let mut lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.split('#').next().unwrap_or("").trim()));
        check_version(lines.next().map_or("", |(_, line)| line))?;
        let mut headers = Headers::default();
        let mut choices: Option<Vec<Choice>> = None;
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let outcome = match &mut choices {
                Some(choices) => parse_choice(line).map(|choice| choices.push(choice)),
                None => headers.take(line),
            };
            outcome.map_err(|reason| TapeFileError::Line {
                line: number,
                reason,
            })?;
            if headers.count.is_some() && choices.is_none() {
                choices = Some(Vec::new());
            }
        }
        headers.finish(choices)
    }
}

/// What the lines before the choices say.
#[derive(Default)]
struct Headers {
    seed: Option<u64>,
    profile: Option<Profile>,
    duration_us: Option<u64>,
    canary: Option<Canary>,
    commit: Option<String>,
    property: Option<String>,
    /// The value of `choices`: how many, or all.
    count: Option<Option<usize>>,
}

impl Headers {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("the header {name:?} has no value"));
        }
        match name {
            "seed" => self.seed = Some(number(value)?),
            "profile" => self.profile = Some(profile_named(value)?),
            "duration" => {
                self.duration_us = Some(number(value.strip_suffix("us").unwrap_or(value).trim())?);
            }
            "canary" => self.canary = Some(canary_named(value)?),
            "commit" => self.commit = Some(value.to_owned()),
            "property" => self.property = Some(value.to_owned()),
            "choices" if value == "all" => self.count = Some(None),
            "choices" => self.count = Some(Some(number(value)?)),
            // A later version may say more, as long as it is not needed to repeat the run.
            _ => {}
        }
        Ok(())
    }

    fn finish(self, choices: Option<Vec<Choice>>) -> Result<TapeFile, TapeFileError> {
        let count = self.count.ok_or(TapeFileError::Missing("choices"))?;
        let found = choices.as_ref().map_or(0, Vec::len);
        if found != count.unwrap_or(0) {
            return Err(TapeFileError::Count {
                announced: count.unwrap_or(0),
                found,
            });
        }
        Ok(TapeFile {
            seed: self.seed.ok_or(TapeFileError::Missing("seed"))?,
            profile: self.profile.ok_or(TapeFileError::Missing("profile"))?,
            duration_us: self.duration_us.ok_or(TapeFileError::Missing("duration"))?,
            canary: self.canary,
            commit: self.commit,
            property: self.property,
            choices: count.and(choices),
        })
    }
}

/// The profile of that name.
///
/// # Errors
/// If there is none; the text lists those there are.
pub fn profile_named(name: &str) -> Result<Profile, String> {
    let found = Profile::ALL.iter().find(|profile| profile.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        format!("no profile {name:?}; there are {}", names.join(", "))
    })
}

/// The canary of that name.
///
/// # Errors
/// If there is none.
pub fn canary_named(name: &str) -> Result<Canary, String> {
    let found = Canary::ALL.iter().find(|canary| canary.name() == name);
    found.copied().ok_or_else(|| {
        format!("no canary {name:?}; the command `profiles --canaries` lists them all")
    })
}

/// The name of a kind of sites in tape files.
pub fn kind_name(kind: SiteKind) -> &'static str {
    let found = KINDS.iter().find(|(known, _)| *known == kind);
    found.map_or("unnamed", |(_, name)| name)
}

fn check_version(line: &str) -> Result<(), TapeFileError> {
    let version = line.strip_prefix(MAGIC).ok_or(TapeFileError::NoTape)?;
    let version = version.trim();
    match version.parse::<u32>() {
        Ok(1..=VERSION) => Ok(()),
        _ => Err(TapeFileError::Version(version.to_owned())),
    }
}

fn describe(choice: &Choice) -> String {
    let Site { kind, of } = choice.site;
    let line = format!("{} {of} {}", kind_name(kind), choice.nth);
    match kind {
        SiteKind::Fault | SiteKind::FaultGap => match FaultClass::ALL.get(usize::from(of)) {
            Some(class) => format!("{line}   # {}", class.label()),
            None => line,
        },
        _ => line,
    }
}

fn parse_choice(line: &str) -> Result<Choice, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, of, nth] = words[..] else {
        return Err(format!(
            "a choice is three words, kind, of and nth, not {line:?}"
        ));
    };
    let kind = KINDS
        .iter()
        .find(|(_, name)| *name == kind)
        .ok_or_else(|| format!("no kind of choice is called {kind:?}"))?
        .0;
    let of: u16 = number(of)?;
    if of >= Site::OF_MAX {
        return Err(format!("{of} is too high: below {}", Site::OF_MAX));
    }
    Ok(Choice {
        site: Site { kind, of },
        nth: number(nth)?,
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number that fits here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TapeFile {
        let choice = |kind, of, nth| Choice {
            site: Site { kind, of },
            nth,
        };
        TapeFile {
            seed: 81,
            profile: Profile::Disk,
            duration_us: 9_500_000,
            canary: Some(Canary::ALL[0]),
            commit: Some("2eb7016c1a2b".to_owned()),
            property: Some("election-safety".to_owned()),
            choices: Some(vec![
                choice(SiteKind::Swarm, 0, 3),
                choice(SiteKind::Fault, FaultClass::Crash as u16, 0),
                choice(SiteKind::PacketDelay, 255, u32::MAX),
            ]),
        }
    }

    #[test]
    fn a_tape_file_survives_the_round_trip() {
        let tape = sample();
        assert_eq!(TapeFile::parse(&tape.render()), Ok(tape.clone()));
        let options = tape.options();
        assert_eq!(
            TapeFile::of(&options, tape.commit.clone(), tape.property.clone()),
            tape
        );
        let all = TapeFile {
            canary: None,
            commit: None,
            property: None,
            choices: None,
            ..tape
        };
        assert_eq!(TapeFile::parse(&all.render()), Ok(all));
    }

    #[test]
    fn every_kind_has_one_name_and_its_own_number() {
        for (number, &(kind, name)) in KINDS.iter().enumerate() {
            assert_eq!(kind as usize, number, "{name} stands at its number");
            assert_eq!(
                parse_choice(&format!("{name} 1 2")).map(|choice| choice.site.kind),
                Ok(kind)
            );
        }
    }

    #[test]
    fn comments_spaces_and_new_headers_do_no_harm() {
        let text = "quorate-sim tape 1\r\n\r\n# a note\r\nduration  5us\nmood good\nprofile calm # !\n\
                    \tseed 3\nchoices 1\n\n  swarm\t0   7 # nodes\n\n";
        let tape = TapeFile::parse(text).unwrap();
        assert_eq!((tape.seed, tape.duration_us), (3, 5));
        assert_eq!(tape.choices.map(|choices| choices.len()), Some(1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| TapeFile::parse(text).unwrap_err().to_string();
        assert!(error("").contains("not a tape file"));
        assert!(error("quorate-sim tape 99\n").contains("version 99"));
        assert!(error("quorate-sim tape 1\nseed x\n").starts_with("line 2: \"x\""));
        assert!(error("quorate-sim tape 1\nseed\n").contains("no value"));
        assert!(error("quorate-sim tape 1\nprofile wild\n").contains("there are default, calm"));
        assert!(error("quorate-sim tape 1\nseed 1\n").contains("\"choices\" is missing"));
        let head = "quorate-sim tape 1\nseed 1\nprofile calm\nduration 1us\nchoices 1\n";
        assert!(error(head).contains("1 choices, there are 0"));
        assert!(error(&format!("{head}swarm 0\n")).starts_with("line 6: a choice is three"));
        assert!(error(&format!("{head}swarm 256 0\n")).contains("below 256"));
        assert!(error(&format!("{head}weather 0 0\n")).contains("\"weather\""));
    }
}
