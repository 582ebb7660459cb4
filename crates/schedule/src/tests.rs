mod calendars;
mod oracle;
