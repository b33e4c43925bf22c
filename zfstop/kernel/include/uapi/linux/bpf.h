/* bcc asks for this file by name; nothing in it is needed. */
