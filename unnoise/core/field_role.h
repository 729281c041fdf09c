// What a field of an option table is for. Recipes, cards and comparisons are about what decides a result; they ask
// here. A row says so by its first word: place("output_dir", ...), trace(...); plain field(...) decides the result.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "unnoise/core/fields.h"

namespace unnoise {

enum class FieldRole {
  result,  ///< decides what comes out
  trace,   ///< what is kept of the way there: how often, how much
  place,   ///< where things are and go, who asks, how to go on: no matter to anybody else
};

template <FieldRole role, class Owner, class Member>
struct FieldOfRole : Field<Owner, Member> {};

template <class Owner, class Member>
constexpr FieldOfRole<FieldRole::trace, Owner, Member> trace(std::string_view name, Member Owner::* member,
                                                             std::string_view help) {
  return {{name, member, help}};
}
template <class Owner, class Member>
constexpr FieldOfRole<FieldRole::place, Owner, Member> place(std::string_view name, Member Owner::* member,
                                                             std::string_view help) {
  return {{name, member, help}};
}

template <class Owner, class Member>
constexpr FieldRole role_of(const Field<Owner, Member>&) {
  return FieldRole::result;
}
template <FieldRole role, class Owner, class Member>
constexpr FieldRole role_of(const FieldOfRole<role, Owner, Member>&) {
  return role;
}

/// The names of T's fields of one role.
template <HasFields T>
std::set<std::string> field_names(FieldRole role) {
  std::set<std::string> names;
  for_each_field<T>([&](const auto& field) {
    if (role_of(field) == role) names.emplace(field.name);
  });
  return names;
}

}  // namespace unnoise
