// Lists whose links live inside their elements: no allocation, so they can hold any number of
// waiters and pushing can never fail. Shard-local: no atomics.
#ifndef IOENGINE_SCHED_INTRUSIVE_LIST_H_
#define IOENGINE_SCHED_INTRUSIVE_LIST_H_

#include <cstddef>

#include "ioengine/sched/check.h"

namespace ioengine {

// Base of an element of an IntrusiveList. An element unlinks itself when it is destroyed, so a
// waiter that lives in a coroutine's frame leaves its queue when the coroutine is destroyed.
class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { Unlink(); }

  bool linked() const { return next_ != nullptr; }

  // Takes this element out of the list that it is in, if any. Cost: O(1).
  void Unlink() {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

  // Puts this element, which is in no list, where `other` is, if that is in one, and takes that
  // out. Cost: O(1).
  void TakePlaceOf(ListLink& other) {
    if (other.next_ == nullptr) return;
    next_ = other.next_;
    previous_ = other.previous_;
    next_->previous_ = previous_->next_ = this;
    other.next_ = other.previous_ = nullptr;
  }

 private:
  template <typename T>
  friend class IntrusiveList;

  ListLink* next_ = nullptr;
  ListLink* previous_ = nullptr;
};

// A FIFO of T, which derives from ListLink. Borrows its elements: each must stay where it is while
// linked. A circle through a sentinel, so that an element needs no pointer to its list to leave it.
template <typename T>
class IntrusiveList {
 public:
  IntrusiveList() { sentinel_.next_ = sentinel_.previous_ = &sentinel_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  // Unlinks what is left; the elements themselves belong to others.
  ~IntrusiveList() {
    while (!empty()) sentinel_.next_->Unlink();
  }

  bool empty() const { return sentinel_.next_ == &sentinel_; }

  // Null when empty.
  T* front() { return empty() ? nullptr : static_cast<T*>(sentinel_.next_); }

  // The one behind `element`, which is in this list; null behind the last.
  T* Next(T& element) {
    ListLink* const next = static_cast<ListLink&>(element).next_;
    return next == &sentinel_ ? nullptr : static_cast<T*>(next);
  }

  void PushBack(T& element) { LinkBefore(sentinel_, element); }
  void PushFront(T& element) { LinkBefore(*sentinel_.next_, element); }

  // Null when empty. Cost: O(1), as all of them.
  T* TryPopFront() {
    ListLink* const link = sentinel_.next_;
    if (link == &sentinel_) return nullptr;
    sentinel_.next_ = link->next_;
    link->next_->previous_ = &sentinel_;
    link->next_ = link->previous_ = nullptr;
    return static_cast<T*>(link);
  }

  // Requires a list that is not empty.
  T& PopFront() {
    IOENGINE_CHECK(!empty(), "PopFront on an empty list");
    T& element = static_cast<T&>(*sentinel_.next_);
    static_cast<ListLink&>(element).Unlink();
    return element;
  }

 private:
  static void LinkBefore(ListLink& next, ListLink& link) {
    IOENGINE_CHECK(!link.linked(), "the element is in a list already; unlink it first");
    link.previous_ = next.previous_;
    link.next_ = &next;
    next.previous_->next_ = &link;
    next.previous_ = &link;
  }

  ListLink sentinel_;
};

}  // namespace ioengine

#endif  // IOENGINE_SCHED_INTRUSIVE_LIST_H_
