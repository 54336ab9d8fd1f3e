/**
 * Water over uneven ground. `heights[i]` is how high the ground stands in a vessel of width `widths[i]` (above 0);
 * returns the level to which `amount` of water (above 0) rises, poured over all of them: the sum over all vessels of
 * width × (level - height), where that is positive, is the amount. Of both arrays the first `count` elements (at least
 * one) are meant. Takes a few passes, and no memory.
 */
export function waterLevel(
  heights: Float64Array,
  widths: Float64Array,
  count: number,
  amount: number,
): number {
  let level = Number.POSITIVE_INFINITY;
  for (let under = count + 1; ; ) {
    let width = 0;
    let ground = 0;
    let wet = 0;
    for (let at = 0; at < count; at++) {
      const height = heights[at] as number;
      if (height >= level) continue;
      wet++;
      width += widths[at] as number;
      ground += (widths[at] as number) * height;
    }
    // What stands out of the water at this level stands out of it at the true one, which is lower or the same.
    if (wet === 0 || wet >= under) return level;
    under = wet;
    level = (amount + ground) / width;
  }
}
