//! The seeds of each method side by side.

use std::fmt::Write;

use super::ArmReport;
use super::chart::escape;
use super::notes::hard_accuracy;
use crate::stats::mean;

/// One dot per seed, a bar at the mean.
pub(super) fn strip(arms: &[ArmReport], hard: &str) -> String {
    const PLOT: f64 = 208.0;
    let longest = arms.iter().map(|arm| arm.name.chars().count()).max().unwrap_or(0);
    let (left, width) = (14.0 + 6.6 * longest as f64, 420.0);
    let x = |share: f64| left + share * (width - left - 14.0);
    // As high as the charts beside it, unless there are many arms.
    let row = (PLOT / arms.len().max(1) as f64).max(26.0);
    let height = row * arms.len() as f64 + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"accuracy of each seed\">"
    );
    for share in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{:.1} 4V{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share}</text>",
            x(share),
            height - 20.0,
            x(share),
            height - 6.0
        );
    }
    for (i, arm) in arms.iter().enumerate() {
        let y = row * (i as f64 + 0.5) + 2.0;
        let _ = write!(
            svg,
            "<g class=\"c{}\"><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            i % 6,
            left - 10.0,
            y + 4.0,
            escape(&arm.name)
        );
        let mut values = Vec::new();
        for (n, run) in arm.runs.iter().enumerate() {
            let Some(value) = hard_accuracy(run) else { continue };
            values.push(value);
            // Spread seeds over the row, so that equal ones stay visible.
            let offset = (n as f64 - (arm.runs.len() as f64 - 1.0) / 2.0) * (row / 10.0).min(4.6);
            let _ = write!(
                svg,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.2\"><title>{}, seed {}: {value:.3}</title></circle>",
                x(value),
                y + offset,
                escape(&arm.name),
                run.summary.seed
            );
        }
        if let Some(mean) = mean(&values) {
            let _ = write!(
                svg,
                "<path class=\"whisker\" d=\"M{:.1} {:.1}v{}\"/>",
                x(mean),
                y - 12.0,
                24
            );
        }
        svg.push_str("</g>");
    }
    format!(
        "<figure><figcaption><h3>Accuracy on {}</h3><div class=\"caption\">A dot per seed, after training; the bar is their mean.</div></figcaption>{svg}</svg></figure>\n",
        escape(hard)
    )
}
