/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accessors of JSON members in the VM's results.
 * A member that is missing or of another type reads as 0, NULL, "?" or an empty object or array.
 */
#ifndef VMM_CTL_MEMBERS_H
#define VMM_CTL_MEMBERS_H

#include <json-c/json.h>
#include <stdint.h>

static inline struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static inline uint64_t number(struct json_object *object, const char *key)
{
	return json_object_get_uint64(member(object, key));
}

static inline const char *text(struct json_object *object, const char *key)
{
	struct json_object *value = member(object, key);

	return value ? json_object_get_string(value) : "?";
}

/* Returns `object` for json_object_object_foreach, or an empty object if it is not one. */
static inline struct json_object *members(struct json_object *object)
{
	static struct json_object *nothing;

	if (json_object_is_type(object, json_type_object))
		return object;
	if (!nothing)
		nothing = json_object_new_object();
	return nothing;
}

/* Returns the number of elements; 0 if `array` is not an array. */
static inline size_t length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static inline struct json_object *element(struct json_object *array, size_t i)
{
	return i < length(array) ? json_object_array_get_idx(array, i) : NULL;
}

#endif
