// IntrusiveList, against a model.

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "ioengine/sched/intrusive_list.h"

namespace ioengine {
namespace {

struct Element : ListLink {
  explicit Element(int value) : number(value) {}
  int number;
};

TEST(IntrusiveListTest, IsAFifo) {
  IntrusiveList<Element> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  Element elements[] = {Element(0), Element(1), Element(2)};
  for (Element& element : elements) list.PushBack(element);
  EXPECT_EQ(list.front(), &elements[0]);
  for (Element& element : elements) {
    EXPECT_TRUE(element.linked());
    EXPECT_EQ(&list.PopFront(), &element);
    EXPECT_FALSE(element.linked());
  }
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveListTest, TakesElementsAtTheFrontToo) {
  IntrusiveList<Element> list;
  Element elements[] = {Element(0), Element(1), Element(2)};
  list.PushFront(elements[1]);
  list.PushBack(elements[2]);
  list.PushFront(elements[0]);
  for (Element& element : elements) EXPECT_EQ(&list.PopFront(), &element);
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveListTest, AnElementLeavesWhenItIsDestroyed) {
  IntrusiveList<Element> list;
  std::optional<Element> elements[3];
  for (int i = 0; i < 3; ++i) list.PushBack(elements[i].emplace(i));
  elements[1].reset();
  EXPECT_EQ(list.PopFront().number, 0);
  EXPECT_EQ(list.front()->number, 2);
  elements[2].reset();
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveListTest, ItsEndUnlinksItsElements) {
  Element element(0);
  {
    IntrusiveList<Element> list;
    list.PushBack(element);
  }
  EXPECT_FALSE(element.linked());
  element.Unlink();  // does nothing
  IntrusiveList<Element> other;
  other.PushBack(element);
  EXPECT_EQ(other.front(), &element);
}

TEST(IntrusiveListTest, AgreesWithAModel) {
  std::mt19937 random(1);
  std::vector<std::unique_ptr<Element>> elements;
  for (int i = 0; i < 20; ++i) elements.push_back(std::make_unique<Element>(i));
  IntrusiveList<Element> list;
  std::deque<int> model;
  for (int step = 0; step < 20'000; ++step) {
    const int number = static_cast<int>(random() % 20);
    std::unique_ptr<Element>& element = elements[static_cast<size_t>(number)];
    switch (random() % 4) {
      case 0:
        if (!element->linked()) {
          list.PushBack(*element);
          model.push_back(number);
        }
        break;
      case 1:
        if (!model.empty()) {
          EXPECT_EQ(list.PopFront().number, model.front());
          model.pop_front();
        }
        break;
      case 2:
        element->Unlink();
        std::erase(model, number);
        break;
      default:
        element = std::make_unique<Element>(number);
        std::erase(model, number);
    }
    ASSERT_EQ(list.empty(), model.empty());
    ASSERT_EQ(list.front() == nullptr ? -1 : list.front()->number,
              model.empty() ? -1 : model.front());
    ASSERT_EQ(elements[static_cast<size_t>(number)]->linked(),
              std::find(model.begin(), model.end(), number) != model.end());
  }
}

TEST(IntrusiveListDeathTest, AnElementInTwoLists) {
  IntrusiveList<Element> list;
  IntrusiveList<Element> other;
  Element element(0);
  list.PushBack(element);
  EXPECT_DEATH(list.PushBack(element), "in a list already");
  EXPECT_DEATH(other.PushBack(element), "in a list already");
}

TEST(IntrusiveListDeathTest, PopFrontOfAnEmptyList) {
  IntrusiveList<Element> list;
  EXPECT_DEATH(list.PopFront(), "PopFront on an empty list");
}

}  // namespace
}  // namespace ioengine
