//! Walks through lists of tokens, however the list goes on under them.

use super::*;

/// How a list pages: by the item before the page, or by counting.
#[derive(Debug, Clone, Copy)]
enum Paging {
    Keyed,
    Counted,
}

/// A list of tokens, every third of which is a stranger's.
struct List {
    tokens: Vec<SeenToken>,
    paging: Paging,
    reads: usize,
}

const PAGE: usize = 10;

fn token(id: usize, client: &str) -> SeenToken {
    SeenToken {
        id: TokenId::new(format!("{id}")),
        user: UserId::new("u"),
        client: Some(ClientId::new(client)),
        description: None,
        last_used: None,
    }
}

impl List {
    fn of(count: usize, paging: Paging) -> Self {
        let tokens = (0..count).map(|id| token(id, if id % 3 == 0 { "x" } else { "c" })).collect();
        Self { tokens, paging, reads: 0 }
    }

    /// A key that is not there any more is refused.
    fn page(&mut self, at: Option<&PageCursor>) -> TokenPage {
        self.reads += 1;
        let from = match (at, self.paging) {
            (None, _) => 0,
            (Some(at), Paging::Counted) => at.as_str().parse().unwrap(),
            (Some(at), Paging::Keyed) => {
                1 + self
                    .tokens
                    .iter()
                    .position(|token| token.id.as_str() == at.as_str())
                    .expect("a stale key")
            }
        };
        let end = (from + PAGE).min(self.tokens.len());
        let tokens = self.tokens.get(from..end).unwrap_or_default().to_vec();
        let next = match self.paging {
            Paging::Counted => end.to_string(),
            Paging::Keyed => tokens.last().map(|token| token.id.to_string()).unwrap_or_default(),
        };
        TokenPage { tokens, next: (end < self.tokens.len()).then(|| PageCursor::new(next)) }
    }

    /// Walks to the end and revokes what is ours; returns how many requests it took.
    fn clear(&mut self) -> usize {
        let (client, mut walk, mut deleted) = (ClientId::new("c"), Walk::default(), 0);
        loop {
            let page = self.page(walk.at());
            let revoked = walk.to_revoke(&page, &client, &[]);
            if !revoked.is_empty() {
                self.tokens.retain(|token| !revoked.contains(&token.id));
                deleted += revoked.len();
                walk = walk.again(&page, &revoked);
                continue;
            }
            match walk.past(page.next) {
                Walked::On(next) => walk = next,
                Walked::Ended => return self.reads + deleted,
                Walked::Circle => panic!("it goes straight on"),
            }
        }
    }
}

#[test]
fn a_walk_leaves_nothing_of_ours_and_everything_of_others_in_time_that_is_linear() {
    for paging in [Paging::Keyed, Paging::Counted] {
        let [once, twice] = [3_000, 6_000].map(|count| {
            let mut list = List::of(count, paging);
            let requests = list.clear();
            assert!(list.tokens.iter().all(|token| token.client == Some(ClientId::new("x"))), "{paging:?}");
            assert_eq!(list.tokens.len(), count / 3, "{paging:?}");
            requests
        });
        assert!(once < 3_000 && twice * 10 <= once * 22, "{paging:?}: {once}, {twice}");
    }
}

#[test]
fn what_a_list_that_lags_still_shows_is_not_revoked_twice_and_what_it_hid_is_found() {
    let (client, page) = (ClientId::new("c"), |ids: [usize; 2], next: Option<&str>| TokenPage {
        tokens: ids.map(|id| token(id, "c")).to_vec(),
        next: next.map(PageCursor::new),
    });
    let lagging = page([1, 2], Some("k"));
    let walk = Walk::default();
    let revoked = walk.to_revoke(&lagging, &client, &[]);
    let walk = walk.again(&lagging, &revoked);

    assert_eq!(revoked.len(), 2);
    assert_eq!(walk.to_revoke(&lagging, &client, &[]), []);
    let Walked::On(walk) = walk.past(lagging.next.clone()) else { panic!("there is a next page") };
    let Walked::On(again) = walk.past(None) else { panic!("pages may have moved up") };
    assert_eq!(again, Walk::default());
    assert_eq!(again.past(None), Walked::Ended);
}

#[test]
fn an_interrupted_walk_is_walked_once_more_unless_it_was_at_the_start() {
    let Walked::On(behind) = Walk::default().past(Some(PageCursor::new("k"))) else {
        panic!("there is more")
    };

    assert_eq!(behind.clone().past(None), Walked::Ended);
    assert_eq!(behind.interrupted().past(None), Walked::On(Walk::default()));
    assert_eq!(Walk::default().interrupted().past(None), Walked::Ended);
}

#[test]
fn a_list_that_goes_round_in_a_circle_is_noticed_however_long_the_circle() {
    for circle in [1, 2, 3, 7, 100] {
        let mut walk = Walk::default();
        let pages = (0..).map(|page| PageCursor::new(format!("{}", page % circle)));
        let noticed = pages.take(1_000).position(|next| match walk.clone().past(Some(next)) {
            Walked::On(next) => {
                walk = next;
                false
            }
            Walked::Ended => panic!("it has no end"),
            Walked::Circle => true,
        });

        assert!(noticed.is_some_and(|pages| pages < 4 * circle + 4), "{circle}: {noticed:?}");
    }
}
