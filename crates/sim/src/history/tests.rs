use super::*;

fn read(text: &str) -> Result<History, HistoryError> {
    History::read_json_lines(text.as_bytes())
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn sample() -> History {
    let mut history = History::default();
    let set = history.invoke(10, 3, 1, vec![words(&["SET", "k\"1\n", "w0"])]);
    let group = vec![words(&["INCR", "n1"]), words(&["GET", "k1"])];
    let unknown = history.invoke(11, 4, 2, group.clone());
    let at = Some(Position {
        index: 7,
        order: u32::MAX,
    });
    history.complete(
        12,
        set,
        Outcome::Done(vec![Reply::Text(b"OK".to_vec())]),
        at,
    );
    history.complete(
        12,
        unknown,
        Outcome::Unknown("UNCERTAIN \u{e9}".into()),
        None,
    );
    let binary = history.invoke(12, 4, 2, vec![vec![b"SET".to_vec(), vec![0xff, 0], vec![]]]);
    history.complete(13, binary, Outcome::Failed("DISKFULL".into()), None);
    let mixed = history.invoke(14, 3, 1, group);
    let list = Reply::List(vec![Reply::Null, Reply::Text(vec![0x80])]);
    let replies = vec![Reply::Integer(-4), list];
    history.complete(15, mixed, Outcome::Done(replies), None);
    let wrong = history.invoke(16, 3, 1, vec![words(&["INCR", "k1"])]);
    let error = Reply::Error("ERR value is not an integer".into());
    history.complete(17, wrong, Outcome::Done(vec![error]), None);
    history.invoke(18, 3, 1, vec![words(&["GET", "k1"])]);
    history
}

#[test]
fn what_is_written_is_read_again() {
    let history = sample();
    let mut file = Vec::new();
    history.write_json_lines(&mut file).unwrap();
    assert_eq!(History::read_json_lines(&file[..]).unwrap(), history);
    assert_eq!(file.iter().filter(|&&byte| byte == b'\n').count(), 11);
}

#[test]
fn the_form_is_the_documented_one() {
    let text = concat!(
        "{\"time\":1200,\"type\":\"invoke\",\"op\":0,\"process\":3,\"node\":1,\"commands\":[[\"SET\",\"k1\",\"w0\"]]}\n",
        "{\"time\":1950,\"type\":\"ok\",\"op\":0,\"replies\":[\"OK\"],\"at\":[4,0]}\n",
        "{\"time\":2000,\"type\":\"invoke\",\"op\":1,\"process\":3,\"node\":1,\"commands\":[[\"INCR\",\"n1\"],[\"GET\",\"k1\"]]}\n",
        "{\"time\":9000,\"type\":\"info\",\"op\":1,\"error\":\"UNCERTAIN\"}\n",
    );
    let mut file = Vec::new();
    read(text).unwrap().write_json_lines(&mut file).unwrap();
    assert_eq!(String::from_utf8(file).unwrap(), text);
}

#[test]
fn unknown_fields_and_empty_lines_are_passed_over() {
    let history = read(concat!(
        "\n{\"time\":1,\"type\":\"invoke\",\"op\":0,\"process\":0,\"commands\":[[\"SET\",\"k\",5]],\"color\":{\"deep\":[1]}}\n",
        "  \r\n{\"op\":0,\"replies\":null,\"type\":\"ok\",\"time\":1}",
    ))
    .unwrap();
    assert_eq!(history.operations[0].commands[0][2], b"5");
    assert!(matches!(history.operations[0].outcome, Outcome::Failed(_)));
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    let asked =
        "{\"time\":5,\"type\":\"invoke\",\"op\":0,\"process\":1,\"commands\":[[\"GET\",\"k\"]]}\n";
    let ended = "{\"time\":6,\"type\":\"ok\",\"op\":0,\"replies\":[null]}\n";
    let cases: [(String, &str); 14] = [
        (
            format!("{asked}{{\"time\":6,"),
            "line 2, column 10: not JSON (EOF",
        ),
        (
            format!("{asked}[1]\n"),
            "line 2, column 1: an event is an object",
        ),
        (
            "{\"time\":1,\"type\":\"ok\"}".into(),
            "line 1, column 1: the field \"op\" is missing",
        ),
        (
            "{\"time\":-1,\"type\":\"ok\",\"op\":0}".into(),
            "line 1, column 2: \"time\" must be a whole number",
        ),
        (
            "{\"time\":1,\"type\":\"done\",\"op\":0}".into(),
            "column 11: the type \"done\" is none of",
        ),
        (
            format!("{asked}{}", ended.replace(":6", ":4")),
            "line 2, column 2: time 4 comes after 5",
        ),
        (
            format!("{asked}{asked}"),
            "line 2, column 27: operation 0 was asked before",
        ),
        (
            asked.replace("\"op\":0", "\"op\":1"),
            "operation 1 is asked where 0 is the next number",
        ),
        (
            ended.to_owned(),
            "line 1, column 23: operation 0 ends but was never asked",
        ),
        (
            format!("{asked}{ended}{ended}"),
            "line 3, column 23: operation 0 ended before",
        ),
        (
            format!("{asked}{}", ended.replace("[null]", "[1,2]")),
            "operation 0 has 1 commands and 2 replies",
        ),
        (
            format!("{asked}{}", ended.replace("[null]", "[true]")),
            "line 2, column 30: \"replies\" must be made of strings",
        ),
        (
            asked.replace("[[\"GET\",\"k\"]]", "[[]]"),
            "\"commands\" must be a list of commands",
        ),
        (
            format!("{asked}{}", ended.replace("[null]", "[null],\"at\":[1]")),
            "\"at\" must be two whole numbers",
        ),
    ];
    for (text, expected) in cases {
        let error = read(&text).unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{error:?} should say {expected:?}"
        );
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut file = Vec::new();
    sample().write_json_lines(&mut file).unwrap();
    let mut noise = 12345_u64;
    for _ in 0..3000 {
        let mut damaged = file.clone();
        for _ in 0..3 {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            let place = (noise >> 33) as usize % damaged.len();
            match noise % 3 {
                0 => damaged[place] = (noise >> 20) as u8,
                1 => drop(damaged.remove(place)),
                _ => damaged.truncate(place.max(9)),
            }
        }
        let _ = History::read_json_lines(&damaged[..]);
    }
    let deep = "[".repeat(100_000);
    assert!(read(&deep).is_err());
    assert!(History::read_json_lines(&[0xff, 0xfe, b'\n'][..]).is_err());
}

#[test]
fn messages_and_aborted_transactions_have_a_form() {
    let text = concat!(
        "{\"time\":1,\"type\":\"invoke\",\"op\":0,\"process\":3,\"node\":1,\"commands\":[[\"WATCH\",\"w1\"],[\"SET\",\"w1\",\"3.1\"]]}\n",
        "{\"time\":2,\"type\":\"message\",\"process\":4,\"node\":2,\"session\":1,\"channel\":\"p0\",\"message\":\"3.2\"}\n",
        "{\"time\":3,\"type\":\"ok\",\"op\":0,\"replies\":null}\n",
        "{\"time\":4,\"type\":\"message\",\"process\":4,\"node\":2,\"session\":2,\"channel\":\"p0\",\"message\":{\"hex\":\"ff\"}}\n",
    );
    let history = read(text).unwrap();
    assert_eq!(
        history.operations[0].outcome,
        Outcome::Done(vec![Reply::Null])
    );
    assert_eq!(history.deliveries[1].message, [0xff]);
    let mut file = Vec::new();
    history.write_json_lines(&mut file).unwrap();
    assert_eq!(String::from_utf8(file).unwrap(), text);
}
