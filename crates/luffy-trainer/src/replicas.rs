//! Workers that run side by side and give the same result as one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// `n` workers, each with a thread pool of one thread of its own.
///
/// On a CPU this beats parallel operations: burn's element-wise operations run on one thread, so two
/// replicas are 1.5 to 1.8 times as fast as one that uses two threads.
#[derive(Debug)]
pub struct Replicas<W> {
    workers: Vec<(W, ThreadPool)>,
}

impl<W: Send> Replicas<W> {
    /// Takes the workers.
    ///
    /// # Panics
    /// If there is none, or the system refuses a thread.
    pub fn new(workers: Vec<W>) -> Self {
        assert!(!workers.is_empty(), "at least one replica is needed");
        let with_pool = |worker| {
            let pool = ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .expect("the system gives a thread per replica");
            (worker, pool)
        };
        Self { workers: workers.into_iter().map(with_pool).collect() }
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
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<R>>> =
            Mutex::new(std::iter::repeat_with(|| None).take(units.len()).collect());
        std::thread::scope(|scope| {
            for (worker, pool) in &mut self.workers {
                let (next, results, f) = (&next, &results, &f);
                scope.spawn(move || {
                    pool.install(|| {
                        loop {
                            let i = next.fetch_add(1, Ordering::Relaxed);
                            let Some(unit) = units.get(i) else { break };
                            let result = f(worker, unit);
                            results.lock().expect("no worker panics while it holds the lock")[i] =
                                Some(result);
                        }
                    });
                });
            }
        });
        let results = results.into_inner().expect("all workers have ended");
        results.into_iter().map(|result| result.expect("every unit is taken once")).collect()
    }

    /// `f` of the first worker, in its pool.
    pub fn first<R: Send>(&mut self, f: impl FnOnce(&mut W) -> R + Send) -> R {
        let (worker, pool) = &mut self.workers[0];
        pool.install(|| f(worker))
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
    fn each_worker_has_one_thread() {
        let mut replicas = Replicas::new(vec![(), ()]);
        let threads = replicas.map(&[(); 8], |(), ()| rayon::current_num_threads());
        assert_eq!(threads, [1; 8]);
    }
}
