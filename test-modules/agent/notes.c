// SPDX-License-Identifier: GPL-2.0-or-later
/* The ELF notes of the running kernel: the build id that its linker gave it. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"

#define NOTES		"/sys/kernel/notes"
#define NOTES_BYTES	8192	/* x86 has some 400, most of them for Xen */

static size_t padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

/* In hexadecimal digits; empty when the kernel has none. */
void kernel_build_id(char *to, size_t size)
{
	static const char owner[] = ELF_NOTE_GNU;
	static char notes[NOTES_BYTES];
	ssize_t length = read_small(NOTES, notes, sizeof(notes));
	size_t at = 0, used = 0, end = length < 0 ? 0 : length;
	Elf64_Nhdr note;

	*to = '\0';
	while (end - at >= sizeof(note)) {
		const char *name = notes + at + sizeof(note);
		size_t rest = end - at - sizeof(note);

		memcpy(&note, notes + at, sizeof(note));
		if (padded(note.n_namesz) > rest || note.n_descsz > rest - padded(note.n_namesz))
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(owner) &&
		    !memcmp(name, owner, sizeof(owner))) {
			const uint8_t *id = (const uint8_t *)name + padded(note.n_namesz);

			for (size_t i = 0; i < note.n_descsz && used + 2 < size; i++)
				used += sprintf(to + used, "%02x", id[i]);
			return;
		}
		at += sizeof(note) + padded(note.n_namesz);
		at += padded(note.n_descsz) < end - at ? padded(note.n_descsz) : end - at;
	}
}
