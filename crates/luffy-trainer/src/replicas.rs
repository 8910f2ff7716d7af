//! Workers that run side by side and give the same result as one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Workers, each with threads of its own; one, unless there are more threads than workers.
///
/// On a CPU this beats parallel operations: two replicas are 1.7 to 1.9 times as fast as one, where an operation
/// shared between two threads waits for the slower one each time.
#[derive(Debug)]
pub struct Replicas<W> {
    workers: Vec<(W, ThreadPool)>,
    /// The threads of all, for what one of them does while the others wait.
    wide: ThreadPool,
}

/// Results that came, in the order in which they are taken.
struct Queue<R, T> {
    taken: usize,
    waiting: BTreeMap<usize, R>,
    take: T,
    /// Whether a worker has panicked: nothing will come in its place.
    is_broken: bool,
}

/// Lets the others go on, and so end, where this worker panics.
struct Guard<'a, R, T>(&'a Mutex<Queue<R, T>>, &'a Condvar);

impl<R, T> Drop for Guard<'_, R, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).is_broken = true;
            self.1.notify_all();
        }
    }
}

impl<W: Send> Replicas<W> {
    /// Takes the workers.
    ///
    /// # Panics
    /// If there is none, or the system refuses a thread.
    pub fn new(workers: Vec<W>) -> Self {
        let n = workers.len();
        Self::with_threads(workers, n)
    }

    /// Takes the workers and shares `n_threads` among them: one each at least, more for what a single worker
    /// does by itself.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_threads(workers: Vec<W>, n_threads: usize) -> Self {
        assert!(!workers.is_empty(), "at least one replica is needed");
        let n_threads = n_threads.max(workers.len());
        let pool = |n| {
            let pool = ThreadPoolBuilder::new().num_threads(n).build();
            pool.expect("the system gives a thread per replica")
        };
        let each = n_threads / workers.len();
        let workers = workers.into_iter().map(|worker| (worker, pool(each))).collect();
        Self { workers, wide: pool(n_threads) }
    }

    /// Number of workers.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// `f` of every unit, in unit order. Which worker does which unit is left to chance, so `f` must give
    /// the same for equal workers.
    ///
    /// # Panics
    /// If `f` panics.
    pub fn map<U: Sync, R: Send>(
        &mut self,
        units: &[U],
        f: impl Fn(&mut W, &U) -> R + Sync,
    ) -> Vec<R> {
        let mut results = Vec::with_capacity(units.len());
        self.fold(units, f, |result| results.push(result));
        results
    }

    /// Hands `f` of every unit to `take` in unit order, each as soon as it and all before it are there: at
    /// most twice as many results as workers wait at any time, however many units there are.
    ///
    /// # Panics
    /// If `f` or `take` panics.
    pub fn fold<U: Sync, R: Send>(
        &mut self,
        units: &[U],
        f: impl Fn(&mut W, &U) -> R + Sync,
        take: impl FnMut(R) + Send,
    ) {
        if let [unit] = units {
            // The others would have nothing to do.
            let result = self.first(|worker| f(worker, unit));
            let mut take = take;
            return take(result);
        }
        let ahead = 2 * self.workers.len();
        let next = AtomicUsize::new(0);
        let queue =
            Mutex::new(Queue { taken: 0, waiting: BTreeMap::new(), take, is_broken: false });
        let moved = Condvar::new();
        std::thread::scope(|scope| {
            for (worker, pool) in &mut self.workers {
                let (next, queue, moved, f) = (&next, &queue, &moved, &f);
                scope.spawn(move || {
                    let _guard = Guard(queue, moved);
                    pool.install(|| {
                        loop {
                            let i = next.fetch_add(1, Ordering::Relaxed);
                            let Some(unit) = units.get(i) else { break };
                            let result = f(worker, unit);
                            let mut now = queue.lock().unwrap_or_else(PoisonError::into_inner);
                            now.waiting.insert(i, result);
                            loop {
                                let taken = now.taken;
                                let Some(first) = now.waiting.remove(&taken) else { break };
                                (now.take)(first);
                                now.taken += 1;
                            }
                            moved.notify_all();
                            let is_far =
                                |now: &mut Queue<R, _>| !now.is_broken && i >= now.taken + ahead;
                            drop(moved.wait_while(now, is_far));
                        }
                    });
                });
            }
        });
    }

    /// `f` of the first worker, with the threads of all.
    pub fn first<R: Send>(&mut self, f: impl FnOnce(&mut W) -> R + Send) -> R {
        let (worker, _) = &mut self.workers[0];
        self.wide.install(|| f(worker))
    }

    /// `f` of every worker, one after the other, until one fails.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn each<E>(&mut self, mut f: impl FnMut(usize, &mut W) -> Result<(), E>) -> Result<(), E> {
        self.workers.iter_mut().enumerate().try_for_each(|(i, (worker, _))| f(i, worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_unit_order_for_any_number_of_workers() {
        let units: Vec<u64> = (0..100).collect();
        for n in 1..5 {
            let mut replicas = Replicas::new(vec![10_u64; n]);
            let results = replicas.map(&units, |worker, unit| *worker + unit);
            assert_eq!(results, (10..110).collect::<Vec<_>>());
        }
    }

    #[test]
    fn results_are_taken_in_order_as_they_come() {
        let units: Vec<u64> = (0..50).collect();
        for n in 1..4 {
            let mut taken = Vec::new();
            Replicas::new(vec![(); n]).fold(
                &units,
                |(), unit| {
                    // The first units are the slowest.
                    std::thread::sleep(std::time::Duration::from_micros(2 * (50 - unit)));
                    *unit
                },
                |unit| taken.push(unit),
            );
            assert_eq!(taken, units);
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_one_worker_ends_all() {
        let units: Vec<u64> = (0..50).collect();
        let fail = |(): &mut (), unit: &u64| assert!(*unit != 3, "unit 3");
        Replicas::new(vec![(); 3]).fold(&units, fail, |()| ());
    }

    #[test]
    fn each_worker_has_one_thread() {
        let mut replicas = Replicas::new(vec![(), ()]);
        let threads = |(): &mut (), (): &()| rayon::current_num_threads();
        assert_eq!(replicas.map(&[(); 8], threads), [1; 8]);
        // Alone it has those of all.
        assert_eq!(replicas.map(&[()], threads), [2]);
        assert_eq!(Replicas::with_threads(vec![()], 3).map(&[(); 2], threads), [3; 2]);
    }
}
