//! `profiles`: what may go wrong in which profile.

use buggify::Canary;
use clap::Args;
use sim::profile::Profile;
use sim::report::FaultClass;

use crate::cli::Exit;

/// Lists the profiles and the classes of faults.
#[derive(Debug, Args)]
pub(crate) struct ProfilesArguments {
    /// List the canaries instead: mistakes that `run --canary` makes.
    #[arg(long)]
    canaries: bool,
}

pub(crate) fn run(arguments: &ProfilesArguments) -> Exit {
    if arguments.canaries {
        for canary in Canary::ALL {
            let (row, name) = (canary.row(), canary.name());
            println!("{row:>3}  {name:<36}{}", canary.summary());
        }
        return Exit::Fine;
    }
    println!("profiles");
    for profile in Profile::ALL {
        println!("  {:<10}{}", profile.name(), summary(*profile));
    }
    println!("\nclasses of faults, and the profiles besides default and ruin that have them");
    for class in FaultClass::ALL {
        let profiles: Vec<&str> = Profile::ALL
            .iter()
            .filter(|profile| !matches!(profile, Profile::Default | Profile::Ruin))
            .filter(|profile| profile.allows(*class))
            .map(|profile| profile.name())
            .collect();
        println!("  {:<28}{}", class.label(), profiles.join(" "));
    }
    Exit::Fine
}

fn summary(profile: Profile) -> &'static str {
    match profile {
        Profile::Default => "all that the promise covers: a quorum keeps each committed entry",
        Profile::Calm => "no faults, only load",
        Profile::Network => "packets lost, late, doubled; links cut; partitions",
        Profile::Crash => "processes that end and start, power that fails",
        Profile::Disk => "disks, within what the promise covers, and crashes",
        Profile::Ruin => "disks, beyond what the promise covers: stop, never lie",
        Profile::Clock => "clocks that drift, jump and stand still, and crashes",
        Profile::Client => "clients that leave, give up, burst; and crashes",
    }
}
