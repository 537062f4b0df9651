//! What a run says in the end: one JSON object, or a table for people.

use std::fmt::Write;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

use crate::{
    keys::Distribution,
    measure::{Latencies, Recorder},
    options::{Plan, Protocol},
};

/// The percentiles that have names in the output.
const NAMED: [(&str, f64); 5] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
];
/// Where the curve of latencies is sampled, for plots: closer together the nearer to the end.
const CURVE: [f64; 22] = [
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.5, 99.0, 99.5,
    99.75, 99.9, 99.95, 99.99, 99.995, 99.999,
];

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Run {
    /// What was counted.
    pub(crate) recorder: Recorder,
    /// How long it took in all, in nanoseconds.
    pub(crate) elapsed: u64,
    /// What went over the sockets, if that is known.
    pub(crate) traffic: Option<Traffic>,
}

/// The bytes of requests and replies of a whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Requests.
    pub(crate) sent_bytes: u64,
    /// Replies.
    pub(crate) received_bytes: u64,
}

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    plan: &'a Plan,
    run: Run,
    latencies: Latencies,
    measured_seconds: f64,
    cpu_seconds: f64,
}

impl<'a> Report<'a> {
    /// Sums up a run that has just ended.
    pub(crate) fn new(plan: &'a Plan, run: Run) -> Report<'a> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Report {
            plan,
            latencies: run.recorder.all(),
            measured_seconds: if plan.is_fill {
                run.elapsed as f64 / 1e9
            } else {
                plan.duration.as_secs_f64()
            },
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            run,
        }
    }

    /// Whether anything was done. A run of errors only is a failure.
    pub(crate) fn is_success(&self) -> bool {
        match self.plan.is_fill {
            true => self.recorder().errors == 0 && self.recorder().replies == self.plan.keys,
            false => self.recorder().completed > 0,
        }
    }

    fn recorder(&self) -> &Recorder {
        &self.run.recorder
    }

    fn throughput(&self) -> f64 {
        self.recorder().completed as f64 / self.measured_seconds.max(1e-9)
    }

    /// One JSON object. Latencies are in microseconds, other times in seconds.
    pub(crate) fn json(&self) -> String {
        let (plan, recorder) = (self.plan, self.recorder());
        let targets: Vec<&str> = plan.targets.iter().map(|it| it.name.as_str()).collect();
        let mut object = json!({
            "targets": targets,
            "protocol": match plan.protocol { Protocol::Resp => "resp", Protocol::Etcd => "etcd" },
            "loop": self.loop_name(),
            "rate": plan.rate,
            "connections": plan.connections,
            "pipeline": plan.pipeline,
            "value_bytes": plan.value_bytes,
            "keys": plan.keys,
            "read_share": plan.read_share,
            "distribution": match plan.distribution {
                Distribution::Uniform => "uniform",
                Distribution::Zipf(_) => "zipf",
            },
            "seed": plan.seed,
            "warm_up_seconds": plan.warm_up.as_secs_f64(),
            "measured_seconds": self.measured_seconds,
            "elapsed_seconds": self.run.elapsed as f64 / 1e9,
            "throughput": self.throughput(),
            "completed": recorder.completed,
            "replies": recorder.replies,
            "errors": recorder.errors,
            "first_error": recorder.first_error,
            "misses": recorder.misses,
            "unanswered": recorder.unanswered,
            "cpu_seconds": self.cpu_seconds,
        });
        if let Value::Object(object) = &mut object {
            if let Distribution::Zipf(exponent) = plan.distribution {
                object.insert("zipf_exponent".into(), json!(exponent));
            }
            if let Some(traffic) = self.run.traffic {
                object.insert("sent_bytes".into(), json!(traffic.sent_bytes));
                object.insert("received_bytes".into(), json!(traffic.received_bytes));
            }
            object.insert("latency_us".into(), latency_json(&self.latencies));
            if !recorder.reads.is_empty() && !recorder.writes.is_empty() {
                object.insert("read_latency_us".into(), latency_json(&recorder.reads));
                object.insert("write_latency_us".into(), latency_json(&recorder.writes));
            }
            let curve = CURVE.map(|at| json!([at, microseconds_at(&self.latencies, at)]));
            object.insert("latency_curve_us".into(), json!(curve));
        }
        object.to_string()
    }

    fn loop_name(&self) -> &'static str {
        match (self.plan.is_fill, self.plan.rate) {
            (true, _) => "fill",
            (_, None) => "closed",
            (_, Some(_)) => "open",
        }
    }

    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let recorder = self.recorder();
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<12}{value}");
        };
        row("throughput", self.throughput_text());
        if recorder.errors > 0 {
            let first = recorder.first_error.as_deref().unwrap_or_default();
            row("errors", format!("{}, the first: {first}", recorder.errors));
        } else {
            row("errors", "0".to_owned());
        }
        if recorder.misses > 0 {
            row(
                "misses",
                format!("{} reads found no value", recorder.misses),
            );
        }
        if recorder.unanswered > 0 {
            let patience = self.plan.patience.as_secs_f64();
            row(
                "unanswered",
                format!(
                    "{} had no reply {patience} s after the end; they count with that latency",
                    recorder.unanswered
                ),
            );
        }
        let mut latencies = |name: &str, latencies: &Latencies| {
            let mut line = String::new();
            for (percentile, at) in NAMED {
                let _ = write!(line, "{percentile} {}  ", milliseconds(latencies, at));
            }
            row(
                name,
                format!("{line}max {}", milliseconds(latencies, 100.0)),
            );
        };
        latencies("latency, ms", &self.latencies);
        if !recorder.reads.is_empty() && !recorder.writes.is_empty() {
            latencies("  reads", &recorder.reads);
            latencies("  writes", &recorder.writes);
        }
        row(
            "CPU",
            format!("{:.2} s of the load generator itself", self.cpu_seconds),
        );
        text
    }

    fn throughput_text(&self) -> String {
        let (done, seconds) = (self.recorder().completed, self.measured_seconds);
        let mut text = format!("{:.0}/s ({done} in {seconds:.2} s)", self.throughput());
        if let Some(rate) = self.plan.rate {
            let _ = write!(text, ", asked for {rate}/s");
        }
        text
    }
}

fn latency_json(latencies: &Latencies) -> Value {
    let mut object = Map::new();
    for (name, at) in NAMED {
        object.insert(name.to_owned(), json!(microseconds_at(latencies, at)));
    }
    object.insert("max".to_owned(), json!(microseconds_at(latencies, 100.0)));
    object.insert("mean".to_owned(), json!(latencies.mean() / 1000.0));
    Value::Object(object)
}

fn microseconds_at(latencies: &Latencies, percentile: f64) -> f64 {
    // What stands for a cell of the histogram is its upper end, which may lie above the maximum.
    latencies
        .value_at_percentile(percentile)
        .min(latencies.max()) as f64
        / 1000.0
}

fn milliseconds(latencies: &Latencies, percentile: f64) -> String {
    format!("{:.3}", microseconds_at(latencies, percentile) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measure::{Outcome, Started},
        schedule::Window,
        tests::plan,
    };

    fn run(plan: &Plan) -> Run {
        let mut recorder = Recorder::new(Window::new(plan));
        for microseconds in 1..=100 {
            let started = Started {
                at: 0,
                is_read: microseconds % 2 == 0,
            };
            recorder.ended(started, microseconds * 1000, Outcome::Done);
        }
        recorder.failed("ERR none");
        Run {
            recorder,
            elapsed: 10_000_000,
            traffic: None,
        }
    }

    #[test]
    fn json_has_the_figures() {
        let plan = plan(&["--warm-up=0", "--duration=0.01", "--rate=500"]);
        let report = Report::new(&plan, run(&plan));
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["loop"], "open");
        assert_eq!(json["throughput"], 10_000.0);
        assert_eq!(
            (&json["errors"], &json["first_error"]),
            (&json!(1), &json!("ERR none"))
        );
        let p50 = json["latency_us"]["p50"].as_f64().unwrap();
        let max = json["latency_us"]["max"].as_f64().unwrap();
        assert!((49.9..50.2).contains(&p50), "{p50}");
        assert!((99.9..100.2).contains(&max), "{max}");
        assert!(json["read_latency_us"].is_object());
        assert_eq!(
            json["latency_curve_us"].as_array().unwrap().len(),
            CURVE.len()
        );
        assert!(!report.json().contains('\n'));
    }

    #[test]
    fn the_table_shows_errors_and_percentiles() {
        let plan = plan(&["--warm-up=0", "--duration=0.01"]);
        let table = Report::new(&plan, run(&plan)).table();
        assert!(
            table.contains("errors      1, the first: ERR none"),
            "{table}"
        );
        assert!(table.contains("p99.99 0.100  max 0.100"), "{table}");
        assert!(table.contains("throughput  10000/s"), "{table}");
    }

    #[test]
    fn nothing_done_is_no_success() {
        let plan = plan(&[]);
        let run = Run {
            recorder: Recorder::new(Window::new(&plan)),
            elapsed: 1,
            traffic: None,
        };
        let report = Report::new(&plan, run);
        assert!(!report.is_success());
        assert!(report.table().contains("throughput  0/s"));
    }
}
