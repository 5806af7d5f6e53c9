//! The examples do what they say, and end.

#[path = "../examples/sans_io.rs"]
#[expect(unreachable_pub, reason = "it is a program of its own")]
mod sans_io;

#[test]
fn the_core_alone_loses_a_leader_and_goes_on() {
    sans_io::main();
}
