//! What every store must do, as one suite; each implementation runs all of it.

use super::embedded::EmbeddedStore;
use super::memory::MemoryStore;
use super::{Entry, MetaStore, StoreError};

fn put(key: &str, value: &str) -> Entry {
    Entry { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

async fn contents(store: &dyn MetaStore) -> Vec<(String, String)> {
    let all = store.load().await.unwrap();
    all.into_iter().map(|entry| (entry.key, String::from_utf8(entry.value).unwrap())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn terms_start_at_one_and_grow(store: &dyn MetaStore) {
    assert_eq!(store.start_term().await.unwrap().0, 1);
    assert_eq!(store.start_term().await.unwrap().0, 2);
}

async fn what_is_committed_is_loaded_in_order_of_key(store: &dyn MetaStore) {
    let term = store.start_term().await.unwrap();
    assert_eq!(contents(store).await, pairs(&[]));
    store.commit(term, vec![put("b", "1"), put("a", "2"), put("b/a", "3")]).await.unwrap();
    store.commit(term, vec![put("a", "4")]).await.unwrap();
    assert_eq!(contents(store).await, pairs(&[("a", "4"), ("b", "1"), ("b/a", "3")]));
}

async fn the_last_of_several_puts_of_one_key_stays(store: &dyn MetaStore) {
    let term = store.start_term().await.unwrap();
    store.commit(term, vec![put("a", "1"), put("a", "2")]).await.unwrap();
    assert_eq!(contents(store).await, pairs(&[("a", "2")]));
}

async fn an_earlier_term_writes_nothing(store: &dyn MetaStore) {
    let old = store.start_term().await.unwrap();
    store.commit(old, vec![put("a", "1")]).await.unwrap();
    let newest = store.start_term().await.unwrap();
    let refused = store.commit(old, vec![put("a", "2"), put("b", "2")]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Deposed { term, newest: n } if term == old && n == newest), "{refused}");
    assert_eq!(contents(store).await, pairs(&[("a", "1")]));
}

macro_rules! contract {
    ($($rule:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $rule() { super::$rule(&super::MemoryStore::default()).await; })*
        }
        mod embedded {
            $(#[tokio::test] async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                super::$rule(&super::EmbeddedStore::open(folder.path()).unwrap()).await;
            })*
        }
    };
}

contract!(
    terms_start_at_one_and_grow,
    what_is_committed_is_loaded_in_order_of_key,
    the_last_of_several_puts_of_one_key_stays,
    an_earlier_term_writes_nothing,
);
