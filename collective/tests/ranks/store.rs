//! The store alone: what it listens on, and how waits end.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use galapagos_collective::{Error, Store};
use galapagos_telemetry::clock::monotonic_ms;

use crate::harness::{LOOPBACK, all_ranks_pass};

/// Local addresses, in the kernel's hexadecimal, of sockets that listen on `port`.
fn listening_on(port: u16) -> Vec<String> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.filter_map(|row| {
        let mut fields = row.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (address, hex_port) = local.split_once(':')?;
        (state == "0A" && hex_port == format!("{port:04X}")).then(|| address.to_owned())
    })
    .collect()
}

#[test]
fn the_store_listens_on_its_own_address_only() {
    let store = Store::listen(LOOPBACK, Duration::from_secs(5)).unwrap();
    assert_eq!(listening_on(store.addr().port()), ["0100007F"], "127.0.0.1 in the kernel's byte order");
    let anywhere = TcpListener::bind("[::]:0").unwrap();
    let seen = listening_on(anywhere.local_addr().unwrap().port());
    assert_eq!(seen, ["0".repeat(32)], "a socket on all interfaces must be visible to this test");
}

/// Local addresses, in the kernel's hexadecimal, of all sockets on which this process listens.
fn listening_here() -> Vec<String> {
    let own = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let own: Vec<_> = own.map(|target| target.display().to_string()).collect();
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let mine = *state == "0A" && own.contains(&format!("socket:[{inode}]"));
        mine.then(|| local.split(':').next().unwrap_or_default().to_owned())
    })
    .collect()
}

#[test]
fn a_rank_listens_on_its_own_address_only() {
    all_ranks_pass("store::a_rank_listens_on_its_own_address_only", 2, |me| {
        let group = me.group("try-1", Duration::from_secs(15));
        let addresses = listening_here();
        assert!(!addresses.is_empty(), "Gloo's own socket must be visible to this test");
        assert!(addresses.iter().all(|address| address == "0100007F"), "{addresses:?}");
        let _anywhere = TcpListener::bind("[::]:0").unwrap();
        assert!(listening_here().contains(&"0".repeat(32)), "a socket on all interfaces must be visible to this test");
        group.leave(Duration::from_secs(15)).unwrap();
    });
}

#[test]
fn a_value_set_by_one_rank_is_read_by_another() {
    all_ranks_pass("store::a_value_set_by_one_rank_is_read_by_another", 2, |me| {
        let bytes = [0, 255, 10, 0];
        if me.rank == 1 {
            me.store.set("blob", &bytes).unwrap();
        }
        assert_eq!(me.store.get("blob", Duration::from_secs(10)).unwrap(), bytes);
        let sum = me.store.add("readers", 1).unwrap();
        assert!((1..=2).contains(&sum));
        // The serving rank must not end while the other still reads.
        if me.rank == 1 {
            me.store.set("read", b"").unwrap();
        } else {
            assert_eq!(me.store.get("read", Duration::from_secs(10)).unwrap(), b"");
        }
    });
}

#[test]
fn a_missing_key_is_named_at_the_deadline() {
    let store = Store::listen(LOOPBACK, Duration::from_secs(5)).unwrap();
    store.set("there", b"1").unwrap();
    let keys = ["there".to_owned(), "absent".to_owned()];
    let error = store.get_many(&keys, Duration::from_millis(200)).unwrap_err();
    let Error::KeysMissing { keys, waited_ms } = error else { panic!("{error}") };
    assert_eq!(keys, ["absent"]);
    assert!((200..10_000).contains(&waited_ms), "{waited_ms}");
    assert_eq!(store.get("there", Duration::from_secs(5)).unwrap(), b"1", "the store works on after a missed key");
    store.delete("there").unwrap();
    assert!(!store.contains("there").unwrap());
}

#[test]
fn a_dead_port_is_an_error_soon() {
    let free: SocketAddr = TcpListener::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap();
    let started_ms = monotonic_ms();
    let error = Store::connect(free, Duration::from_secs(2)).unwrap_err();
    let took_ms = monotonic_ms() - started_ms;
    assert!(matches!(&error, Error::Rendezvous { addr, .. } if *addr == free), "{error}");
    // c10d tries twice with a random pause, and a busy machine adds its own.
    assert!(took_ms < 2 * 2000 + 16_000, "took {took_ms} ms");
}
