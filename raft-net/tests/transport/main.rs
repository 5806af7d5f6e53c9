//! The transport, over real TCP and over turmoil, by the same conversations.

mod scenarios;
#[cfg(feature = "turmoil")]
mod simulated;
mod world;

/// A test of each conversation over each network.
macro_rules! over_every_network {
    ($($scenario:ident),* $(,)?) => {
        mod over_tcp {
            $(#[test]
            fn $scenario() {
                super::over_tcp(super::scenarios::$scenario(raft_net::TcpNet));
            })*
        }

        #[cfg(feature = "turmoil")]
        mod over_turmoil {
            $(#[test]
            fn $scenario() {
                super::over_turmoil(super::scenarios::$scenario(raft_net::TurmoilNet));
            })*
        }
    };
}

over_every_network! {
    messages_arrive_whole_and_in_order,
    a_peer_that_restarts_is_found_again,
    a_cut_link_loses_messages_silently_until_it_heals,
    a_message_on_its_way_into_a_cut_is_lost,
    a_silent_connection_is_dialled_again_until_the_link_heals,
    another_cluster_is_refused_in_words_at_both_ends,
    another_server_at_the_address_is_refused_in_words,
    a_full_queue_drops_and_counts,
    a_piece_of_a_snapshot_on_a_slow_link_delays_no_heartbeat,
    pieces_of_a_snapshot_arrive_whole_and_in_order,
    a_snapshot_has_a_connection_of_its_own_while_it_is_sent,
    a_peer_that_cannot_be_reached_loses_pieces_and_gets_later_ones,
    a_full_inbox_drops_and_pings_are_still_answered,
    a_client_is_told_what_became_of_its_request,
    a_request_without_an_answer_is_unknown_at_its_deadline,
    a_client_of_another_cluster_is_refused_in_words,
    connections_beyond_the_limit_are_turned_away,
    clients_at_their_limit_keep_no_peer_away,
    who_says_nothing_keeps_nobody_away,
    nothing_outlives_the_transport,
    a_short_delay_does_not_overtake_a_long_one,
    a_paused_server_neither_writes_nor_takes_in,
    a_damaged_frame_ends_the_connection_and_is_counted,
}

fn over_tcp(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = std::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, scenario).await }).expect("it ends within a minute");
}

#[cfg(feature = "turmoil")]
fn over_turmoil(scenario: impl Future<Output = ()> + 'static) {
    let (ended, end) = std::sync::mpsc::channel();
    let mut sim =
        turmoil::Builder::new().rng_seed(1).simulation_duration(std::time::Duration::from_secs(60)).build();
    sim.client("test", async move {
        scenario.await;
        ended.send(()).unwrap();
        Ok(())
    });
    sim.run().unwrap();
    end.try_recv().expect("the conversation was held to its end");
}
