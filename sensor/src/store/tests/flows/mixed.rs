//! What a study says of flows, and of flows beside counts.

use jiff::civil::date;

use super::*;

#[test]
fn a_study_of_flows_and_counts_says_so_and_withholds_what_flows_cannot_tell() {
    let place = Place::new();
    // Flows in the week before the sensor began: from all upstreams known, or of none.
    for mac in [0, 1] {
        let mut text = vec![];
        for hour in 0..7 * 24 {
            for (from, to, ports) in
                [("192.0.2.1", "203.0.113.1", [40_000, 1194]), ("203.0.113.200", "192.0.2.1", [443, 40_000])]
            {
                text.push(Line { mac, ..line(NEW_YEAR + 3600 * hour, from, to, ports, 60) });
            }
        }
        place.store(true).import_flows(&place.past(&archive(&text), 100, |nature| nature)).unwrap();
        let mut store = place.store(false);
        history(1, "2019-01-08T00:00:00Z", 7 * 24 * 60, 3)
            .iter()
            .for_each(|summary| _ = store.append(summary).unwrap());
        store.commit().unwrap();
        let weeks = [(date(2019, 1, 9), date(2019, 1, 15)), (date(2019, 1, 1), date(2019, 1, 7))];
        let study = place.study(weeks);
        assert_eq!(
            (&*study.coverage.methods, &*study.baseline_coverage.methods),
            (&["counted".to_owned()][..], &["flows 1:100".to_owned()][..])
        );
        assert!(study.volume.growth_rate_percent.is_some() && study.volume.peak_bits_per_second.is_some());
        assert_eq!((&study.addresses, &study.services), (&None, &None));
        assert!(study.hidden_share.is_some() && study.baseline_hidden_share.is_none());
        assert!(study.hidden_by_day.keys().all(|day| day.as_str() > "2019-01-08"));
        assert_eq!(study.mining.as_ref().unwrap().baseline_bytes, None);
        let told = study.upstreams.iter().any(|upstream| upstream.baseline_share.is_some());
        assert_eq!(told, mac == 1);
        let mut withheld =
            vec!["addresses", "baseline_coverage.packets", "baseline_hidden_share", "baseline_mining", "baseline_p2p"];
        withheld.extend((mac == 0).then_some("baseline_upstreams"));
        withheld.extend(["services", "volume.growth_rate_interval"]);
        assert_eq!(study.insufficient_data.keys().copied().collect::<Vec<_>>(), withheld);
        assert_eq!(study.insufficient_data["addresses"], "flows 1:100 do not tell who answered");
        assert_eq!(study.insufficient_data["baseline_coverage.packets"], "flows 1:100 have no counters of frames");
        let text = crate::report::markdown(&study);
        for said in [
            "The period is known from counted packets, the baseline from flows 1:100.",
            "Methods are mixed: flows have the bytes of IP packets as routers report them",
            "the packets of the baseline are sure to ±",
            "Whether that is more than before cannot be said (insufficient data: flows 1:100 tell classes by port alone)",
        ] {
            assert!(text.contains(said), "{said}: {text}");
            assert!(crate::report::html(&study).contains(said), "{said}");
        }
        // The other way round.
        let [counted, flows] = weeks;
        let study = place.study([flows, counted]);
        assert!(study.hidden_share.is_none() && study.baseline_hidden_share.is_some());
        assert_eq!((study.volume.peak_bits_per_second, &study.mining), (None, &None));
        assert_eq!(study.upstreams.is_empty(), mac == 0);
        let text = crate::report::markdown(&study) + &crate::report::html(&study);
        assert!(text.contains("Whether there was mining traffic cannot be said"), "{text}");
        assert!(text.contains("flows 1:100 tell how much in all, and not when"), "{text}");
        // Of counts alone nothing of it is said.
        let study = place.study([(date(2019, 1, 12), date(2019, 1, 15)), (date(2019, 1, 9), date(2019, 1, 12))]);
        let text = crate::report::markdown(&study);
        assert!(!text.contains("flows 1:") && !text.contains("Methods are mixed"), "{text}");
    }
}
