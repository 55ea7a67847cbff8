// Random: numbers that a seed decides.
#ifndef IOENGINE_SCHED_RANDOM_H_
#define IOENGINE_SCHED_RANDOM_H_

#include <cstdint>

namespace ioengine {

// xoshiro256** 1.0 (D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators", ACM
// TOMS 47, 2021), its state filled by SplitMix64 as its authors advise. The same seed gives the
// same numbers on every machine and with every compiler. Not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e37'79b9'7f4a'7c15;
      uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
      word = mixed ^ (mixed >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = RotateLeft(state_[3], 45);
    return result;
  }

  // 0 to `bound` - 1, each as likely (to 1 in 2^64 / bound; D. Lemire's multiplication). `bound` is
  // not 0.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

  // True once in `times`, on average.
  bool OneIn(uint64_t times) { return Below(times) == 0; }

 private:
  static uint64_t RotateLeft(uint64_t value, int bits) {
    return (value << bits) | (value >> (64 - bits));
  }

  uint64_t state_[4];
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_RANDOM_H_
