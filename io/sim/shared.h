// Shared: a counted pointer for one thread.
#ifndef IOENGINE_IO_SIM_SHARED_H_
#define IOENGINE_IO_SIM_SHARED_H_

#include <cstdint>
#include <utility>

namespace ioengine {

// A simulation shares pages by the million on one thread: a counter that is not atomic, next to the
// value, makes that as cheap as it can be.
template <typename T>
class Shared {
 public:
  Shared() = default;
  Shared(const Shared& other) : box_(other.box_) {
    if (box_ != nullptr) ++box_->references;
  }
  Shared(Shared&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
  Shared& operator=(Shared other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }
  ~Shared() {
    if (box_ != nullptr && --box_->references == 0) delete box_;
  }

  // A new value, which plain bytes leave uninitialised.
  static Shared Make() {
    Shared shared;
    shared.box_ = new Box;
    return shared;
  }
  static Shared CopyOf(const T& value) {
    Shared shared = Make();
    shared.box_->value = value;
    return shared;
  }

  explicit operator bool() const { return box_ != nullptr; }
  T& operator*() const { return box_->value; }
  T* operator->() const { return &box_->value; }

  // Whether nobody else refers to the value, so that it may be changed.
  bool unique() const { return box_->references == 1; }
  bool SameAs(const Shared& other) const { return box_ == other.box_; }

 private:
  struct Box {
    uint32_t references = 1;
    T value;
  };

  Box* box_ = nullptr;
};

}  // namespace ioengine

#endif  // IOENGINE_IO_SIM_SHARED_H_
