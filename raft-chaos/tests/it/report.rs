//! The report of a run: what is in it, and what a real browser makes of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::simulated::shipped;
use crate::tool::Tool;

/// A plan that every bug below is found with, in little time.
const SHORT: [&str; 8] = [
    "--set",
    "cluster.storage=memory",
    "--set",
    "sim.recheck=0",
    "--set",
    "run.duration=10s",
    "--set",
    "run.settle=4s",
];

/// The folder of the run, as it is printed.
fn folder(tool: &Tool, out: &str) -> String {
    let line = out.lines().find_map(|line| line.strip_prefix("results   ")).expect("results are printed");
    tool.path(line).display().to_string()
}

#[test]
fn a_run_that_passes_has_a_report_if_asked_and_any_run_later() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let short = [&SHORT[..], &["--set", "run.duration=5s"]].concat();
    let said = tool.call(&[&["run", &plan], &short[..]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(!said.out.contains("report.html"), "{}", said.out);
    let folder = folder(&tool, &said.out);
    let report = Path::new(&folder).join("report.html");
    assert!(!report.exists());

    let said = tool.call(&["report", &folder]);
    assert_eq!(
        (said.code, said.out.trim_end()),
        (0, &*format!("report    {}", report.display())),
        "{}",
        said.err
    );
    let page = fs::read_to_string(&report).unwrap();
    assert!(page.contains("PASS") && page.contains("All that was asked for held."));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page asks for nothing");
    for drawing in ["timeline.svg", "latency.svg", "spacetime.svg"] {
        let drawing = fs::read_to_string(Path::new(&folder).join(drawing)).unwrap();
        assert!(drawing.starts_with("<svg") && drawing.ends_with("</svg>"), "{drawing}");
        assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
    }

    let said = tool.call(&["export", &folder, "--to", "perfetto"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let trace: Value = serde_json::from_str(&said.out).unwrap();
    let of = |phase: &str| {
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == phase).count()
    };
    assert!(of("X") > 100 && of("C") > 100, "spans and counters");
    assert!(of("s") > 100 && of("s") == of("f"), "messages have two ends");

    let said = tool.call(&[&["run", &plan, "--report"], &short[..]].concat());
    assert!(said.out.contains("report    "), "{}", said.out);
}

#[test]
fn what_is_no_recorded_run_is_refused_by_name() {
    let tool = Tool::new();
    let said = tool.call(&["report", "nowhere"]);
    assert_eq!(said.code, 64);
    assert!(
        said.err.contains("nowhere: there is no result.json; give the folder of a recorded run"),
        "{}",
        said.err
    );
    assert_eq!(tool.call(&["report", "nowhere", "--at", "nan"]).code, 64);
}

/// What a page of 20,000 operations holds is bounded.
#[test]
fn a_report_of_twenty_thousand_operations_is_under_three_megabytes() {
    let tool = Tool::new();
    let more = [
        "--set",
        "workload.rate=1100",
        "--set",
        "workload.clients=40",
        "--set",
        "run.duration=14s",
        "--report",
    ];
    let said = tool.call(&[&["run", &shipped("quickstart.toml")], &SHORT[..], &more].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let folder = folder(&tool, &said.out);
    let history = fs::read_to_string(Path::new(&folder).join("history.jsonl")).unwrap();
    let operations = history.lines().filter(|line| line.contains("\"invoke\"")).count();
    let bytes = fs::metadata(Path::new(&folder).join("report.html")).unwrap().len();
    assert!(operations >= 20_000, "{operations}");
    assert!(bytes < 3_000_000, "{bytes} bytes for {operations} operations");
}

#[cfg(feature = "planted-bugs")]
mod in_a_browser {
    use std::ffi::OsStr;
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use headless_chrome::Browser;
    use headless_chrome::browser::tab::point::Point;
    use headless_chrome::browser::{LaunchOptions, Tab, default_executable};
    use headless_chrome::protocol::cdp::types::Event;
    use serde_json::Value;

    use super::{SHORT, folder};
    use crate::simulated::shipped;
    use crate::tool::{Said, Tool};

    /// The browser of this machine. Without one a test says so where everybody sees it, and is not done.
    fn browser() -> Option<PathBuf> {
        let found = default_executable().ok();
        if found.is_none() {
            // Not with eprintln, which tests that pass swallow.
            let skipped = "\n*** SKIPPED: no Chromium here, so nobody has looked at a report; `.ci/setup chromium` installs it ***\n";
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        }
        found
    }

    /// A report in a real browser.
    struct Page {
        tab: Arc<Tab>,
        complaints: Arc<Mutex<Vec<String>>>,
        _browser: Browser,
    }

    impl Page {
        fn open(browser: PathBuf, report: &str) -> Self {
            let options = LaunchOptions {
                path: Some(browser),
                // There is nothing of this world in the page, and no sandbox for root.
                sandbox: false,
                window_size: Some((1300, 1800)),
                args: vec![OsStr::new("--force-prefers-reduced-motion")],
                ..LaunchOptions::default()
            };
            let browser = Browser::new(options).unwrap();
            let tab = browser.new_tab().unwrap();
            let complaints = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&complaints);
            tab.enable_log().unwrap().enable_runtime().unwrap();
            tab.add_event_listener(Arc::new(move |event: &Event| {
                let complaint = if let Event::LogEntryAdded(entry) = event {
                    format!("{:?}", entry.params.entry)
                } else if let Event::RuntimeExceptionThrown(thrown) = event {
                    format!("{:?}", thrown.params.exception_details)
                } else if let Event::RuntimeConsoleAPICalled(called) = event {
                    format!("{:?}", called.params.args)
                } else {
                    return;
                };
                heard.lock().unwrap().push(complaint);
            }))
            .unwrap();
            tab.navigate_to(&format!("file://{report}")).unwrap();
            let page = Self { tab, complaints, _browser: browser };
            page.until("document.body?.dataset.ready === 'yes'");
            page
        }

        /// What an expression gives, through JSON.
        fn ask(&self, expression: &str) -> Value {
            let said = self.tab.evaluate(&format!("JSON.stringify({expression})"), true).unwrap();
            let text = said.value.as_ref().and_then(Value::as_str);
            let text = text
                .unwrap_or_else(|| panic!("{expression}: {said:?} {:?}", self.complaints.lock().unwrap()));
            serde_json::from_str(text).unwrap()
        }

        /// Waits for what a browser does in its own time, frame by frame.
        fn until(&self, condition: &str) {
            let began = Instant::now();
            while !self.ask(&format!("Boolean({condition})")).as_bool().unwrap() {
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "{condition} does not come: {:?}",
                    self.complaints.lock().unwrap()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }

        fn text(&self, selector: &str) -> String {
            self.ask(&format!("document.querySelector('{selector}').textContent"))
                .as_str()
                .unwrap()
                .to_owned()
        }

        /// Where on the screen the first of what can be pointed at is that is such, scrolled into sight.
        fn drawn(&self, is: &str) -> Point {
            self.until("!pending");
            let at = self.ask(&format!(
                "(() => {{ const hit = hits.find((hit) => {is}), box = () => document.getElementById('picture').getBoundingClientRect(); \
                 const y = () => box().y + hit.y + hit.height / 2; scrollBy(0, y() - innerHeight / 2); \
                 return [box().x + hit.x + hit.width / 2, y()]; }})()"
            ));
            Point { x: at[0].as_f64().unwrap(), y: at[1].as_f64().unwrap() }
        }

        fn press(&self, key: &str) {
            self.tab.press_key(key).unwrap();
            self.until("!pending");
        }
    }

    /// A run of a bug that is found, and its report.
    fn found(tool: &Tool, bug: &str, plan: &str, seed: &str) -> (Said, String) {
        let run = ["run", &shipped(plan), "--plant", bug, "--seed", seed];
        let said = tool.call(&[&run[..], &SHORT[..]].concat());
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        let report = format!("{}/report.html", folder(tool, &said.out));
        assert!(said.out.contains("report    "), "{}", said.out);
        (said, report)
    }

    #[test]
    fn a_history_that_no_order_explains_is_explained_and_can_be_followed() {
        let Some(browser) = browser() else { return };
        let tool = Tool::new();
        let (said, report) = found(&tool, "read-not-confirmed", "stale-reads.toml", "0");
        assert!(said.out.contains("not linearizable: key "), "{}", said.out);
        let page = Page::open(browser, &report);
        let explained = page.text("#explained");
        assert!(explained.contains("no order explains") && explained.contains("had to be"), "{explained}");

        // Zoom by key, and to what broke.
        let whole = page.ask("view.to - view.from").as_f64().unwrap();
        page.press("+");
        assert!(page.ask("view.to - view.from").as_f64().unwrap() < whole);
        page.press("v");
        let accused = page.ask("run.accused[0]").as_u64().unwrap();
        assert_eq!(page.ask("view.operation"), accused);
        assert!(page.ask("view.to - view.from").as_f64().unwrap() < whole / 2.0);

        // Hover tells, a click follows the operation through the log.
        page.press("Escape");
        let point = page.drawn(&format!("hit.operation === {accused}"));
        page.tab.move_mouse_to_point(point).unwrap();
        page.until("!document.getElementById('tip').hidden");
        assert!(page.text("#tip").contains("process "), "{}", page.text("#tip"));
        page.tab.click_point(point).unwrap();
        page.until("view.operation !== null");
        assert_eq!(page.ask("view.operation"), accused);
        let way = page.text("#details");
        assert!(way.contains("It is one of those that no order explains."), "{way}");
        assert!(way.contains("appended") && way.contains("n1") && way.contains("after entry"), "{way}");

        // A filter takes away what is of other keys.
        let drawn = "new Set(hits.filter((hit) => hit.operation !== undefined).map((hit) => run.clients.key[hit.operation])).size";
        assert!(page.ask(drawn).as_u64().unwrap() > 1);
        let filter = format!(
            "(() => {{ const key = document.getElementById('key'); key.value = run.clients.keys[run.clients.key[{accused}]]; \
             key.dispatchEvent(new Event('change')); return 1; }})()"
        );
        page.ask(&filter);
        page.until("!pending");
        assert_eq!(page.ask(drawn), 1);
        assert_eq!(*page.complaints.lock().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_invariant_that_broke_is_explained_by_the_logs_and_what_led_there() {
        let Some(browser) = browser() else { return };
        let tool = Tool::new();
        let (said, report) = found(&tool, "unchecked-tail-committed", "crash-loop.toml", "5");
        assert!(said.out.contains("explained the logs of n1 and n4 differ at 1185:"), "{}", said.out);
        assert!(said.out.contains("what led there:"), "{}", said.out);
        let page = Page::open(browser, &report);
        let explained = page.text("#explained");
        assert!(
            explained.contains("state-machine broken on n1 n4: committed 1185@t2 and 1185@t1"),
            "{explained}"
        );
        assert!(explained.contains("The logs of n1 and n4 differ at index 1185."), "{explained}");
        assert!(
            explained.contains("The logs at that moment") && explained.contains("What led there"),
            "{explained}"
        );
        page.press("v");
        let (from, to) = (page.ask("view.from").as_f64().unwrap(), page.ask("view.to").as_f64().unwrap());
        let broke = page.ask("run.broken[0][0]").as_f64().unwrap();
        assert!(from < broke && broke < to && to - from < 1e6, "{from} {broke} {to}");

        // About that moment messages are drawn one by one, and say what they are.
        let message = "hit.line !== undefined";
        assert!(page.ask(&format!("hits.filter((hit) => {message}).length")).as_u64().unwrap() > 10);
        let told = page.ask(&format!("hits.find((hit) => {message}).tip()"));
        assert!(told.as_str().unwrap().contains("→"), "{told}");
        assert_eq!(*page.complaints.lock().unwrap(), Vec::<String>::new());
    }
}
