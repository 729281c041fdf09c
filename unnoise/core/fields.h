// One table a struct of options: name, member, help. Flags, JSON, --help and the documentation all walk it.
//
//   struct SampleOptions {
//     int64_t num_images = 1;
//     static constexpr auto fields() {
//       return std::tuple{section("What to draw"), field("num_images", &SampleOptions::num_images, "pictures to
//       draw")};
//     }
//   };
//
// A field is named with underscores, as in JSON; its flag is the same name with dashes. Members may be bool, int64_t,
// double, std::string, an enum with `enum_names`, and std::optional / std::vector of these.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "unnoise/core/json.h"

namespace unnoise {

/// What a field is for: recipes, cards and comparisons are about what decides a result, and ask here.
enum class FieldRole {
  result,  ///< decides what comes out
  loss,    ///< that too, and what the training loss measures: where it differs, losses cannot be compared
  trace,   ///< what is kept of the way there: how often, how much
  place,   ///< where things are and go, who asks, how to go on: no matter to anybody else
};

template <class Owner, class Member>
struct Field {
  std::string_view name;
  Member Owner::*member;
  std::string_view help;
  FieldRole role = FieldRole::result;
};

/// A heading for the fields that follow it.
struct Section {
  std::string_view title;
};

template <class Owner, class Member>
constexpr Field<Owner, Member> field(std::string_view name, Member Owner::*member, std::string_view help,
                                     FieldRole role = FieldRole::result) {
  return {name, member, help, role};
}
/// Rows of the other roles begin with their word.
template <class Owner, class Member>
constexpr Field<Owner, Member> trace(std::string_view name, Member Owner::*member, std::string_view help) {
  return {name, member, help, FieldRole::trace};
}
template <class Owner, class Member>
constexpr Field<Owner, Member> place(std::string_view name, Member Owner::*member, std::string_view help) {
  return {name, member, help, FieldRole::place};
}
constexpr Section section(std::string_view title) { return {title}; }

template <class T>
concept HasFields = requires {
  T::fields();
};

/// An enum takes part by a function found beside it:
///   constexpr auto enum_names(Loss) { return std::array{std::pair{Loss::l2, "l2"}, ...}; }
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  enum_names(e);
};

/// The names of E, in order, for help and errors.
template <NamedEnum E>
std::vector<std::string> enum_choices() {
  std::vector<std::string> names;
  for (const auto& [value, name] : enum_names(E{})) names.emplace_back(name);
  return names;
}

template <NamedEnum E>
std::string_view enum_name(E value) {
  for (const auto& [candidate, name] : enum_names(E{}))
    if (candidate == value) return name;
  return "?";
}

namespace fields_detail {

/// "name: expected an integer, found "abc"" as Error::usage.
[[noreturn]] void fail_type(std::string_view name, std::string_view expected, std::string_view found);
[[noreturn]] void fail_choice(std::string_view name, const std::vector<std::string>& choices, std::string_view found);
[[noreturn]] void fail_unknown(std::string_view where, const std::string& name, const std::vector<std::string>& known);

template <class T>
struct Value;  // to_json(value), from_json(name, json) and kind() of one member type

template <>
struct Value<bool> {
  static std::string kind() { return ""; }
  static Json to_json(bool v) { return v; }
  static bool from_json(std::string_view name, const Json& j);
};
template <>
struct Value<int64_t> {
  static std::string kind() { return "INT"; }
  static Json to_json(int64_t v) { return v; }
  static int64_t from_json(std::string_view name, const Json& j);
};
template <>
struct Value<double> {
  static std::string kind() { return "NUMBER"; }
  static Json to_json(double v) { return v; }
  static double from_json(std::string_view name, const Json& j);
};
template <>
struct Value<std::string> {
  static std::string kind() { return "TEXT"; }
  static Json to_json(const std::string& v) { return v; }
  static std::string from_json(std::string_view name, const Json& j);
};
template <NamedEnum E>
struct Value<E> {
  static std::string kind() { return "NAME"; }
  static Json to_json(E v) { return enum_name(v); }
  static E from_json(std::string_view name, const Json& j) {
    const std::string text = j.is_string() ? j.get<std::string>() : j.dump();
    for (const auto& [value, candidate] : enum_names(E{}))
      if (text == candidate) return value;
    fail_choice(name, enum_choices<E>(), text);
  }
};
template <class T>
struct Value<std::optional<T>> {
  static std::string kind() { return Value<T>::kind(); }
  static Json to_json(const std::optional<T>& v) { return v ? Value<T>::to_json(*v) : Json(nullptr); }
  static std::optional<T> from_json(std::string_view name, const Json& j) {
    if (j.is_null()) return std::nullopt;
    return Value<T>::from_json(name, j);
  }
};
template <class T>
struct Value<std::vector<T>> {
  static std::string kind() { return Value<T>::kind() + ",..."; }
  static Json to_json(const std::vector<T>& v) {
    Json array = Json::array();
    for (const T& item : v) array.push_back(Value<T>::to_json(item));
    return array;
  }
  static std::vector<T> from_json(std::string_view name, const Json& j) {
    if (j.is_null()) return {};
    if (!j.is_array()) fail_type(name, "a list", j.dump());
    std::vector<T> items;
    for (const auto& item : j) items.push_back(Value<T>::from_json(name, item));
    return items;
  }
};

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};

template <class T>
std::vector<std::string> choices_of() {
  if constexpr (NamedEnum<T>)
    return enum_choices<T>();
  else if constexpr (is_optional<T>::value || is_vector<T>::value)
    return choices_of<typename T::value_type>();
  else
    return {};
}

/// The JSON that a flag's text stands for: numbers and lists are read as such, text stays text.
template <class T>
Json json_from_text(std::string_view name, std::string_view text);
Json bool_from_text(std::string_view name, std::string_view text);
Json number_from_text(std::string_view name, std::string_view text, bool integer);
std::vector<std::string> split_list(std::string_view text);

template <class T>
Json json_from_text(std::string_view name, std::string_view text) {
  if constexpr (is_optional<T>::value) {
    if (text == "none" || text == "null") return nullptr;
    return json_from_text<typename T::value_type>(name, text);
  } else if constexpr (is_vector<T>::value) {
    Json array = Json::array();
    for (const auto& item : split_list(text)) array.push_back(json_from_text<typename T::value_type>(name, item));
    return array;
  } else if constexpr (std::is_same_v<T, bool>) {
    return bool_from_text(name, text);
  } else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>) {
    return number_from_text(name, text, std::is_same_v<T, int64_t>);
  } else {
    return std::string(text);
  }
}

}  // namespace fields_detail

/// Calls `f(Field)` or `f(Section)` for each row of T's table, in order.
template <HasFields T, class F>
constexpr void for_each_row(F&& f) {
  std::apply([&](const auto&... row) { (f(row), ...); }, T::fields());
}

/// Calls `f(Field)` for each field of T.
template <HasFields T, class F>
constexpr void for_each_field(F&& f) {
  for_each_row<T>([&](const auto& row) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(row)>, Section>) f(row);
  });
}

template <HasFields T>
std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for_each_field<T>([&](const auto& f) { names.emplace_back(f.name); });
  return names;
}

/// Of one role.
template <HasFields T>
std::set<std::string> field_names(FieldRole role) {
  std::set<std::string> names;
  for_each_field<T>([&](const auto& f) {
    if (f.role == role) names.emplace(f.name);
  });
  return names;
}

template <HasFields T>
Json to_json(const T& options) {
  Json json = Json::object();
  for_each_field<T>([&](const auto& f) {
    using Member = std::decay_t<decltype(options.*f.member)>;
    json[std::string(f.name)] = fields_detail::Value<Member>::to_json(options.*f.member);
  });
  return json;
}

enum class UnknownKeys { reject, ignore };

/// Sets the members that `json` names; the others keep their values. A value of the wrong type, and (with reject) a key
/// that no field has, is an Error::usage that names `where` and the key.
template <HasFields T>
void assign_json(T& options, const Json& json, std::string_view where, UnknownKeys unknown = UnknownKeys::reject) {
  if (!json.is_object()) fields_detail::fail_type(where, "a JSON object", json.dump());
  for_each_field<T>([&](const auto& f) {
    using Member = std::decay_t<decltype(options.*f.member)>;
    const auto found = json.find(f.name);
    if (found != json.end())
      options.*f.member =
          fields_detail::Value<Member>::from_json(std::string(where) + ": " + std::string(f.name), *found);
  });
  if (unknown == UnknownKeys::ignore) return;
  const auto names = field_names<T>();
  for (const auto& [key, value] : json.items())
    if (std::find(names.begin(), names.end(), key) == names.end()) fields_detail::fail_unknown(where, key, names);
}

/// A field without its types, bound to one options object: what a command line, a form or a document needs.
struct OptionRow {
  std::string name;     ///< "train_batch_size"
  std::string section;  ///< heading above it, "" = none
  std::string help;
  std::string kind;                  ///< "INT", "NUMBER", "TEXT", "NAME", "INT,..."; "" = a switch
  std::string default_text;          ///< "" = none
  std::vector<std::string> choices;  ///< for enums
  bool is_switch = false;
  std::function<void(std::string_view)> set;  ///< parses and assigns; throws Error::usage that names the flag

  std::string flag() const;  ///< "--train-batch-size"
};

template <HasFields T>
std::vector<OptionRow> option_rows(T& options) {
  std::vector<OptionRow> rows;
  std::string title;
  for_each_row<T>([&](const auto& row) {
    if constexpr (std::is_same_v<std::decay_t<decltype(row)>, Section>) {
      title = row.title;
    } else {
      using Member = std::decay_t<decltype(options.*row.member)>;
      using Value = fields_detail::Value<Member>;
      OptionRow out{std::string(row.name),
                    title,
                    std::string(row.help),
                    Value::kind(),
                    "",
                    fields_detail::choices_of<Member>(),
                    std::is_same_v<Member, bool>,
                    {}};
      const Json value = Value::to_json(options.*row.member);
      if (value.is_array()) {
        for (const auto& item : value)
          out.default_text +=
              (out.default_text.empty() ? "" : ",") + (item.is_string() ? item.get<std::string>() : item.dump());
      } else if (!value.is_null() && !out.is_switch) {
        out.default_text = value.is_string() ? value.get<std::string>() : value.dump();
      }
      out.set = [&options, member = row.member, flag = out.flag()](std::string_view text) {
        options.*member = Value::from_json(flag, fields_detail::json_from_text<Member>(flag, text));
      };
      rows.push_back(std::move(out));
    }
  });
  return rows;
}

/// The candidate most like `name` (edit distance at most a third of its length), or "".
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace unnoise
