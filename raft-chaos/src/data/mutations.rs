//! Histories of correct objects that clients use side by side, and mutations of them.

use bytes::Bytes;

use super::tests::mix_of;
use super::*;
use crate::history::{Event, Type};
use crate::recorder::{Outcome as End, Recorder, Started};

/// What an object did for four clients side by side, some of it unseen, some of it refused; mutated, see [`mutated`].
pub(crate) fn drawn_side_by_side(kind: Kind, seed: u64) -> History {
    enum At {
        Begun(Started, Ask),
        Done(Started, Reply),
    }
    // In which order things were put into a queue shows late: the search for it grows fast.
    let operations = if kind == Kind::Queue { 14 } else { 24 };
    let data = named(kind, mix_of(kind));
    let mut rng = Rng::new(seed);
    let mut machine = data.machine();
    let mut recorder = Recorder::new(4);
    let mut clients: [Option<At>; 4] = [const { None }; 4];
    let mut known = Value::Null;
    let mut nth = 0;
    let ask_machine = |machine: &mut Box<dyn Machine>, Ask { f, value }: Ask| {
        machine.apply(Command { operation: 0, key: "x".into(), f, value, ballast: Bytes::new() })
    };
    while nth < operations || clients.iter().any(Option::is_some) {
        let client = usize::try_from(rng.below(4)).expect("fits");
        let trouble = rng.below(100);
        match clients[client].take() {
            None if nth < operations => {
                nth += 1;
                let of = client as u64;
                let ask = data.draw(&mut Draw { rng: &mut rng, client: of, clients: 4, nth, known: &known });
                let started = recorder.invoke(0, client, ask.f.clone(), "x", ask.value.clone());
                clients[client] = started.map(|started| At::Begun(started, ask));
            }
            None => {}
            Some(At::Begun(started, _)) if trouble < 4 => {
                recorder.complete(0, started, End::Fail, None, None)
            }
            Some(At::Begun(started, ask)) if trouble < 7 => {
                recorder.complete(0, started, End::Info, None, None);
                if trouble < 6 {
                    ask_machine(&mut machine, ask);
                }
            }
            Some(At::Begun(started, ask)) => {
                let reply = ask_machine(&mut machine, ask.clone());
                known = data.learned(&ask, &reply);
                clients[client] = Some(At::Done(started, reply));
            }
            Some(At::Done(started, _)) if trouble < 3 => recorder.complete(0, started, End::Info, None, None),
            Some(At::Done(started, reply)) => recorder.complete(0, started, End::Ok(reply), None, None),
        }
    }
    recorder.into_history()
}

/// The same history with one thing in it changed: two answers exchanged, one made another, an `ok` made a `fail`, or an end moved to
/// right behind its beginning. Some changes leave it good.
pub(crate) fn mutated(mut history: History, rng: &mut Rng) -> History {
    let ok = |history: &History, answers: bool| -> Vec<usize> {
        let is =
            |event: &Event| event.kind == Type::Ok && matches!(event.f.name(), "read" | "dequeue") == answers;
        (0..history.events.len()).filter(|place| is(&history.events[*place])).collect()
    };
    let (answers, changes) = (ok(&history, true), ok(&history, false));
    match rng.below(4) {
        0 => {
            if let (Some(&one), Some(&two)) = (rng.pick(&answers), rng.pick(&answers)) {
                let value = history.events[one].value.clone();
                history.events[one].value = std::mem::replace(&mut history.events[two].value, value);
            }
        }
        1 => {
            if let Some(&place) = rng.pick(&changes) {
                (history.events[place].kind, history.events[place].swapped) = (Type::Fail, None);
            }
        }
        2 => {
            if let Some(&place) = rng.pick(&[answers, changes].concat()) {
                let end = history.events.remove(place);
                let begun = history.events.iter().rposition(|event| {
                    event.process == end.process && event.kind == Type::Invoke && event.index < end.index
                });
                history.events.insert(begun.expect("begun") + 1, end);
                (0..).zip(&mut history.events).for_each(|(index, event)| event.index = index);
            }
        }
        _ => {
            if let Some(&place) = rng.pick(&answers) {
                let event = &mut history.events[place];
                event.value = match &event.value {
                    Value::Null | Value::Text(_) => Value::text("of nobody"),
                    Value::Whole(number) => Value::Whole(number + 1),
                    Value::List(items) => Value::List(items.iter().skip(1).cloned().collect()),
                    Value::Map(accounts) => {
                        Value::Map(accounts.keys().map(|name| (name.clone(), Value::Whole(1))).collect())
                    }
                };
            }
        }
    }
    history
}
