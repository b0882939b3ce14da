//! What holds in every life, and that lives are long enough to mean it.

use proptest::prelude::*;

use super::*;
use crate::domain::model::many_walks;

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 1..1200)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::with_cases(1000) })]

    /// The rules are those of [`Life::judge_act`], [`Life::judge_service`] and [`Life::judge_rest`].
    #[test]
    fn a_life_left_to_itself_keeps_every_promise(numbers in numbers()) {
        let life = live(&numbers, false);
        prop_assert!(life.is_ok(), "{life:?}");
    }

    #[test]
    fn a_life_that_is_meddled_with_keeps_every_promise_that_can_be_kept(numbers in numbers()) {
        let life = live(&numbers, true);
        prop_assert!(life.is_ok(), "{life:?}");
    }
}

#[test]
fn lives_are_full() {
    let mut sum = Chronicle::default();
    let mut at_rest = 0;
    for numbers in many_walks(300) {
        let life = live(&numbers, true).unwrap();
        sum.promoted += life.promoted;
        sum.withdrawn += life.withdrawn;
        sum.removed += life.removed;
        sum.lost += life.lost;
        sum.deduped += life.deduped;
        sum.mended += life.mended;
        at_rest += usize::from(life.is_at_rest);
    }
    let Chronicle { promoted, withdrawn, removed, lost, deduped, mended, is_at_rest: _ } = sum;
    assert!(at_rest > 200, "{at_rest} of 300 come to rest");
    assert!(promoted > 300 && withdrawn > 50 && removed > 100, "{sum:?}");
    assert!(lost > 3 && deduped > 3 && mended > 30, "{sum:?}");
}
